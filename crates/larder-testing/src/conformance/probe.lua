-- probe: does what its arguments say.
-- KEYS[1] the record. ARGV: what to do, bytes, ttl in ms or 0 to keep it, what to announce or ''.
-- Reply: the record before, the first argument and a number, as a list; or nil for 'nil'.
local function step(record, args, now_us)
  local what, bytes, ttl_ms, notify = args[1], args[2], tonumber(args[3]), args[4]
  if ttl_ms == 0 then ttl_ms = nil end
  if notify == '' then notify = nil end
  local reply = {record, what, 42}
  if what == 'nil' then return nil, nil, nil, nil, notify end
  if what == 'keep' then return nil, nil, nil, reply, notify end
  if what == 'append' then
    bytes = (record or '') .. bytes
    what = 'set'
  end
  return what, bytes, ttl_ms, reply, notify
end
