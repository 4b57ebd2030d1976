-- What windows share. Limits are at most 2^50, times and periods under 2^52.
local function is_window(start, limit, period)
  return start < 4503599627370496 and limit > 0 and limit <= 1125899906842624
    and period > 0 and period < 4503599627370496
end

-- Where a window starts whose clock may have gone back: if it is over a period away, it is now's, which is true.
local function come_back(start, period, now)
  if start > now + period then return now - now % period, true end
  return start, false
end
