-- fill: the value was loaded under this lease.
-- KEYS[1] the record. ARGV: token, flags, sealed value, ttl in ms.
-- Reply: 1 if it was stored, 0 if the lease is gone.
local function step(record, args, now_us)
  local token, flags, sealed, ttl_ms = args[1], tonumber(args[2]), args[3], tonumber(args[4])
  if tag_of(record) ~= 'L' or token_of(record) ~= token then return nil, nil, nil, 0 end
  return 'set', value_frame(token, flags, now_us, sealed), ttl_ms, 1, wake(record)
end
