-- GCRA, as gcra.rs describes it. State: tat_us:7 part:4 rate:4 full:7.
local TAG = 'G'

-- The rate, and a period and a burst that make the full backlog.
local function terms(record, at)
  if #record < at + 21 then return nil end
  local rate, full = struct.unpack('>I4I7', record, at + 11)
  return rate, full, 1
end

local function read(record, at, rate, period, burst, now)
  if #record < at + 21 then return nil end
  local tat, part, old_rate, old_full = struct.unpack('>I7I4I4I7', record, at)
  if tat >= MOST or part >= old_rate or not is_quota(old_rate, old_full) then return nil end
  local owed, backlog, repaired = tat - now, 0, false
  if owed > math.floor(old_full / old_rate) then
    backlog, repaired = old_full, true
  elseif owed >= 0 then
    backlog = owed * old_rate + part
    if backlog > old_full then backlog, repaired = old_full, true end
  end
  return carried(fresh(rate, period, burst, now), backlog, old_rate, old_full, repaired), at + 22
end

local function write(state)
  local part = state.backlog % state.rate
  local tat = state.now + (state.backlog - part) / state.rate
  return struct.pack('>I7I4I4I7', tat, part, state.rate, state.full)
end
