-- The holds of a record as {token, deadline} pairs.
local function holds_of(record)
  local holds = {}
  for at = 7, #record, 24 do
    holds[#holds + 1] = {record:sub(at, at + 15), struct.unpack('>I8', record, at + 16)}
  end
  return holds
end

-- The holds that are still live, without the one of `token`; whether that one was there; the latest deadline.
local function live_without(holds, token, now_ms)
  local live, found, latest = {}, false, 0
  for _, hold in ipairs(holds) do
    if hold[1] == token then
      found = true
    elseif hold[2] > now_ms then
      live[#live + 1] = hold
      latest = math.max(latest, hold[2])
    end
  end
  return live, found, latest
end

local function holds_frame(tainted, holds)
  local parts = {MAGIC, 'H', string.char(tainted and 1 or 0)}
  for _, hold in ipairs(holds) do
    parts[#parts + 1] = hold[1] .. u64(hold[2])
  end
  return table.concat(parts)
end

-- The same holds, tainted: whoever ends last must not write a value.
local function taint(record)
  if record:byte(6) ~= 0 then return nil end
  return 'set-or-delete', record:sub(1, 5) .. '\1' .. record:sub(7)
end
