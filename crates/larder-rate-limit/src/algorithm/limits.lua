-- Decides by all limits of an identity at once.
-- KEYS[1] the record. ARGV: cost (below 0 gives back), quotas (rate:8 period:8 burst:8)+, and anything if it only looks.
-- Reply: 'foreign', or the numbers of each limit, in order; the first of a limit that refuses as -1 - number.
local HEAD = 'LDR\1R' .. TAG

-- What a record has beyond the quotas that are asked for, and how long it matters: nothing if it is damaged.
local function tail_of(record, from, now)
  local at, longest = from, 0
  while at <= #record do
    local rate, period, burst = terms(record, at)
    if not rate then return '', 0 end
    local state
    state, at = read(record, at, rate, period, burst, now)
    if not state then return '', 0 end
    longest = math.max(longest, left(state))
  end
  if longest == 0 then return '', 0 end
  return record:sub(from), longest
end

-- The states of all limits, and the tail; nil if the record is damaged.
local function states_of(record, quotas, now)
  local states, at, tail, longest = {}, #HEAD + 1, '', 0
  for quota = 1, #quotas, 24 do
    local rate, period, burst = struct.unpack('>I8I8I8', quotas, quota)
    local state
    if record and at <= #record then
      local from = at
      state, at = read(record, at, rate, period, burst, now)
      if not state then return nil end
      state.from, state.to = from, at - 1
    else
      state = fresh(rate, period, burst, now)
    end
    states[#states + 1] = state
  end
  if record and at <= #record then tail, longest = tail_of(record, at, now) end
  return states, tail, longest
end

-- What is written of a state: of a refused request only what reading repaired is written anew.
local function part_of(state, record, refused)
  if not refused or state.repaired then return write(state) end
  return state.from and record:sub(state.from, state.to) or ''
end

local function step(record, args, now)
  local cost, quotas = tonumber(args[1]), args[2]
  if record and record:sub(1, 5) ~= 'LDR\1R' then return nil, nil, nil, 'foreign' end
  local ours = record and record:sub(1, #HEAD) == HEAD and record
  local states, tail, longest = states_of(ours, quotas, now)
  if not states then states, tail, longest = states_of(nil, quotas, now) end
  local refused, repaired, changes = false, false, cost ~= 0 and not args[3]
  for index = 1, #states do
    local state = states[index]
    state.refused = cost > 0 and not fits(state, cost)
    refused = refused or state.refused
    repaired = repaired or state.repaired
  end
  local reply, parts = {}, {HEAD}
  for index = 1, #states do
    local state = states[index]
    if cost < 0 then
      refund(state, -cost)
    elseif changes and not refused then
      spend(state, cost)
    end
    local first = #reply + 1
    report(state, cost, reply)
    if state.refused then reply[first] = -1 - reply[first] end
    if changes and (repaired or not refused) then
      parts[#parts + 1] = part_of(state, record, refused)
      longest = math.max(longest, left(state))
    end
  end
  if #reply == 1 then reply = reply[1] end
  if #parts == 1 or (longest == 0 and not record) then return nil, nil, nil, reply end
  if longest == 0 then return 'delete', nil, nil, reply end
  return 'set', table.concat(parts) .. tail, ceil_div(longest, 1000) + 100, reply
end
