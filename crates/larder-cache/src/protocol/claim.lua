-- claim: may I refresh this value?
-- KEYS[1] the record. ARGV: the value's stamp, the claim's token, claim in ms.
-- Reply: 1 if the claim was granted, 0 if someone else refreshes it or the value is another one by now.
local function step(record, args, now_us)
  local stamp, token, claim_ms = args[1], args[2], tonumber(args[3])
  if tag_of(record) ~= 'V' or token_of(record) ~= stamp then return nil, nil, nil, 0 end
  local now_ms = math.floor(now_us / 1000)
  local _, deadline, rest = claim_of(record)
  if deadline and deadline > now_ms then return nil, nil, nil, 0 end
  return 'set', record:sub(1, 21) .. flags_of(record, true) .. token .. u64(now_ms + claim_ms) .. rest, nil, 1
end
