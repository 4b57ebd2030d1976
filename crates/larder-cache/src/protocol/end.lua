-- end: the writer is done.
-- KEYS[1] the record. ARGV: token, sealed value ('' to leave the key empty), flags, ttl in ms.
-- Reply: 2 if the value was stored, 1 if the hold was there, 0 if it was not.
local function step(record, args, now_us)
  local token, sealed, flags, ttl_ms = args[1], args[2], tonumber(args[3]), tonumber(args[4])
  local tag = tag_of(record)
  if not tag then return nil, nil, nil, 0 end
  if tag ~= 'H' then return 'delete', nil, nil, 0, wake(record) end
  local now_ms = math.floor(now_us / 1000)
  local live, found, latest = live_without(holds_of(record), token, now_ms)
  if not found then
    local write, bytes = taint(record)
    return write, bytes, nil, 0
  end
  if #live > 0 then return 'set-or-delete', holds_frame(true, live), latest - now_ms, 1 end
  if sealed ~= '' and record:byte(6) == 0 then
    return 'set-or-delete', value_frame(token, flags, now_us, sealed), ttl_ms, 2, nil, 1
  end
  return 'delete', nil, nil, 1
end
