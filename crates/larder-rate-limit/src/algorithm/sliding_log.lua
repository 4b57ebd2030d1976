-- Sliding window log, as sliding_log.rs describes it. State: count:4 total:4 period:8 (at_us:8 cost:2)*count, the oldest first.
local TAG = 'L'
local HIT = 10

local function fresh(limit, period, burst, now)
  return {limit = limit, period = period, now = now, moment = now, count = 0, total = 0, hits = '', first = 1}
end

local function hit(state, index)
  return struct.unpack('>I8I2', state.hits, state.first + index * HIT)
end

-- Forgets hits that are a period old.
local function prune(state)
  while state.count > 0 do
    local at, cost = hit(state, 0)
    if at + state.period > state.moment then return end
    state.first, state.count = state.first + HIT, state.count - 1
    state.total = math.max(0, state.total - cost)
  end
  state.total = 0
end

-- Makes hits of a clock that was over a period ahead hits of now.
local function cut(state)
  local hits = {}
  for index = 0, state.count - 1 do
    local at, cost = hit(state, index)
    hits[#hits + 1] = struct.pack('>I8I2', math.min(at, state.now), cost)
  end
  state.hits, state.first, state.repaired = table.concat(hits), 1, true
end

-- The limit is in no record, and does not matter.
local function terms(record, at)
  if #record < at + 15 then return nil end
  local period = struct.unpack('>I8', record, at + 8)
  if period <= 0 or period >= 4503599627370496 then return nil end
  return 1, period, 1
end

local function read(record, at, limit, period, burst, now)
  if #record < at + 15 then return nil end
  local count, total = struct.unpack('>I4I4', record, at)
  local next_at = at + 16 + count * HIT
  if #record < next_at - 1 then return nil end
  local state = fresh(limit, period, burst, now)
  if count == 0 then return state, next_at end
  state.count, state.total, state.hits, state.first = count, total, record, at + 16
  local last = hit(state, count - 1)
  if last > now + period then
    cut(state)
  elseif last + period <= now then
    return fresh(limit, period, burst, now), next_at
  else
    state.moment = math.max(now, last)
  end
  prune(state)
  return state, next_at
end

local function fits(state, cost) return state.total + cost <= state.limit end

local function spend(state, cost)
  state.total = state.total + cost
  state.new = struct.pack('>I8I2', state.moment, cost)
end

-- The newest hits first.
local function refund(state, cost)
  while state.count > 0 and cost > 0 do
    local at, spent = hit(state, state.count - 1)
    state.count = state.count - 1
    state.total = math.max(0, state.total - math.min(cost, spent))
    if spent > cost then
      state.new = struct.pack('>I8I2', math.min(at, state.moment), spent - cost)
    end
    cost = math.max(0, cost - spent)
  end
end

local function write(state)
  local hits = state.hits:sub(state.first, state.first + state.count * HIT - 1)
  local count = state.count + (state.new and 1 or 0)
  return struct.pack('>I4I4I8', count, state.total, state.period) .. hits .. (state.new or '')
end

-- How long the hit at this moment counts yet.
local function counts_for(state, at)
  return math.max(0, math.min(at, state.moment) + state.period - state.now)
end

local function left(state)
  if state.new then return counts_for(state, (struct.unpack('>I8', state.new))) end
  if state.count == 0 then return 0 end
  return counts_for(state, (hit(state, state.count - 1)))
end

-- When so much is forgotten that the cost fits.
local function wait(state, cost)
  local freed, needed = 0, state.total + cost - state.limit
  for index = 0, state.count - 1 do
    local at, spent = hit(state, index)
    freed = freed + spent
    if freed >= needed then return counts_for(state, at) end
  end
  return left(state)
end

local function report(state, cost, reply)
  local waits = cost > 0 and cost <= state.limit and not state.new and not fits(state, cost)
  reply[#reply + 1] = state.total
  reply[#reply + 1] = waits and wait(state, cost) or 0
  reply[#reply + 1] = left(state)
end
