-- What windows share. Limits are at most 2^50, times and periods under 2^52.
local function is_window(start, limit, period)
  return start < 4503599627370496 and limit > 0 and limit <= 1125899906842624
    and period > 0 and period < 4503599627370496
end

-- The terms that a state was written under, which has the limit and the period here.
local function window_terms(record, at)
  if #record < at + 15 then return nil end
  local limit, period = struct.unpack('>I8I8', record, at)
  return limit, period, limit
end

-- Where a window starts whose clock may have gone back, and whether it was cut: if it is over a period away, of the quota
-- it was written under or of the one of now, it is now's.
local function cut(start, period, new_period, now)
  if start > now + math.min(period, new_period) then return now - now % period, true end
  return start, false
end
