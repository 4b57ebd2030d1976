-- refresh: the value was loaded again under this claim.
-- KEYS[1] the record. ARGV: the old value's stamp, the claim's token, flags, sealed value, ttl in ms.
-- Reply: 1 if it was stored, 0 if the old value or the claim is gone. The claim's token is the new stamp.
local function step(record, args, now_us)
  local stamp, token, flags, sealed, ttl_ms = args[1], args[2], tonumber(args[3]), args[4], tonumber(args[5])
  if tag_of(record) ~= 'V' or token_of(record) ~= stamp then return nil, nil, nil, 0 end
  if claim_of(record) ~= token then return nil, nil, nil, 0 end
  return 'set', value_frame(token, flags, now_us, sealed), ttl_ms, 1
end
