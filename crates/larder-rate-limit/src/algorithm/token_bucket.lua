-- Token bucket, as token_bucket.rs describes it. State: level:8 last_us:8 rate:4 full:8.
local TAG = 'B'

-- The rate, and a period and a burst that make the full bucket.
local function terms(record, at)
  if #record < at + 27 then return nil end
  local rate, full = struct.unpack('>I4I8', record, at + 16)
  return rate, full, 1
end

local function read(record, at, rate, period, burst, now)
  if #record < at + 27 then return nil end
  local level, last, old_rate, old_full = struct.unpack('>I8I8I4I8', record, at)
  if last >= MOST or not is_quota(old_rate, old_full) or level > old_full then return nil end
  local span, passed, repaired = math.floor(old_full / old_rate), now - last, false
  if passed > span then
    level = old_full
  elseif passed >= -span then
    level = math.min(old_full, level + passed * old_rate)
  else
    level = -1
  end
  if level < 0 then level, repaired = 0, true end
  return carried(fresh(rate, period, burst, now), old_full - level, old_rate, old_full, repaired), at + 28
end

local function write(state)
  return struct.pack('>I8I8I4I8', state.full - state.backlog, state.now, state.rate, state.full)
end
