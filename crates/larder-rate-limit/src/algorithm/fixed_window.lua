-- Fixed window, as fixed_window.rs describes it. State: start_us:8 count:8 limit:8 period:8.
local TAG = 'F'

local function fresh(limit, period, burst, now)
  return {limit = limit, period = period, now = now, start = now - now % period, count = 0}
end

local function left(state)
  if state.count == 0 then return 0 end
  return state.start + state.period - state.now
end

local function terms(record, at) return window_terms(record, at + 16) end

local function read(record, at, limit, period, burst, now)
  if #record < at + 31 then return nil end
  local start, count, old_limit, old_period = struct.unpack('>I8I8I8I8', record, at)
  if not is_window(start, old_limit, old_period) or count > old_limit then return nil end
  local state = fresh(limit, period, burst, now)
  start, state.repaired = cut(start, old_period, period, now)
  local moment = math.max(now, start)
  if moment >= start + old_period then count = 0 end
  state.start, state.count = moment - moment % period, count
  if limit ~= old_limit or period ~= old_period then
    state.count = proportion(limit, count, old_limit)
    local sooner = count > 0 and left(state) < start + old_period - now
    state.repaired = state.repaired or sooner
  end
  return state, at + 32
end

local function fits(state, cost) return cost <= state.limit - state.count end

local function spend(state, cost) state.count = state.count + cost end

local function refund(state, cost) state.count = math.max(0, state.count - cost) end

local function write(state)
  return struct.pack('>I8I8I8I8', state.start, state.count, state.limit, state.period)
end

local function report(state, cost, reply)
  reply[#reply + 1] = state.count
  reply[#reply + 1] = state.start + state.period - state.now
end
