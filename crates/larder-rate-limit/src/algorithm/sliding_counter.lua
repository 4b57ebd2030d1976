-- Sliding window counter, as sliding_counter.rs describes it. State: start_us:8 before:8 count:8 limit:8 period:8.
local TAG = 'C'

local function fresh(limit, period, burst, now)
  return {limit = limit, period = period, now = now, start = now - now % period, before = 0, count = 0}
end

-- What the window before still weighs where `rest` of the current one is left.
local function weight(before, rest, period) return proportion(before, math.min(rest, period), period) end

local function ends_in(state) return state.start + state.period - state.now end

local function left(state)
  if state.count > 0 then return ends_in(state) + state.period end
  if state.before > 0 then return ends_in(state) end
  return 0
end

-- Keeps the proportion that was spent of another quota. Windows of the same period stay what they are; otherwise all that is
-- counted moves into the window of now.
local function carry(state, moment, old_limit, old_period)
  if state.period == old_period then
    state.before = proportion(state.limit, state.before, old_limit)
    state.count = proportion(state.limit, state.count, old_limit)
    return
  end
  local spent = weight(state.before, state.start + old_period - moment, old_period) + state.count
  state.start, state.before = moment - moment % state.period, 0
  state.count = proportion(state.limit, math.min(spent, old_limit), old_limit)
end

local function terms(record, at) return window_terms(record, at + 24) end

local function read(record, at, limit, period, burst, now)
  if #record < at + 39 then return nil end
  local start, before, count, old_limit, old_period = struct.unpack('>I8I8I8I8I8', record, at)
  if not is_window(start, old_limit, old_period) or before > old_limit or count > old_limit then
    return nil
  end
  local state = fresh(limit, period, burst, now)
  start, state.repaired = cut(start, old_period, period, now)
  local moment = math.max(now, start)
  if moment >= start + 2 * old_period then
    start, before, count = moment - moment % old_period, 0, 0
  elseif moment >= start + old_period then
    start, before, count = start + old_period, count, 0
  end
  state.start, state.before, state.count = start, before, count
  if limit ~= old_limit or period ~= old_period then
    state.period = old_period
    local old_left = left(state)
    state.period = period
    carry(state, moment, old_limit, old_period)
    state.repaired = state.repaired or left(state) < old_left
  end
  return state, at + 40
end

local function fits(state, cost)
  return weight(state.before, ends_in(state), state.period) + state.count + cost <= state.limit
end

local function spend(state, cost) state.count = state.count + cost end

-- The window of now first.
local function refund(state, cost)
  local rest = math.max(0, cost - state.count)
  state.count, state.before = math.max(0, state.count - cost), math.max(0, state.before - rest)
end

local function write(state)
  return struct.pack('>I8I8I8I8I8', state.start, state.before, state.count, state.limit, state.period)
end

local function report(state, cost, reply)
  reply[#reply + 1] = state.count
  reply[#reply + 1] = state.before
  reply[#reply + 1] = ends_in(state)
end
