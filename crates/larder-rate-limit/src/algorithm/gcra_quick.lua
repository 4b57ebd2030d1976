-- gcra in its common case, with a third less work: one quota, under which the record was written, and something to spend.
-- `every_case` makes the step for the others.
local function step(record, args, now)
  local cost, quotas = tonumber(args[1]), args[2]
  if cost <= 0 or args[3] or #quotas ~= 24 then return every_case()(record, args, now) end
  local rate, period, burst = struct.unpack('>I8I8I8', quotas)
  local full, backlog = burst * period, 0
  if record then
    if #record ~= 28 or record:sub(1, 6) ~= 'LDR\1RG' then return every_case()(record, args, now) end
    local tat, part, old_rate, old_full = struct.unpack('>I7I4I4I7', record, 7)
    if tat >= now then backlog = (tat - now) * rate + part end
    if old_rate ~= rate or old_full ~= full or part >= rate or backlog > full then
      return every_case()(record, args, now)
    end
  end
  local spent = backlog + cost * period
  if spent > full then return nil, nil, nil, -1 - backlog end
  local part = spent % rate
  local tat = now + (spent - part) / rate
  local left_ms = -math.floor(math.floor(-spent / rate) / 1000)
  return 'set', 'LDR\1RG' .. struct.pack('>I7I4I4I7', tat, part, rate, full), left_ms + 100, spent
end
