-- unclaim: the reload under this claim failed or was given up.
-- KEYS[1] the record. ARGV: the value's stamp, the claim's token.
-- Reply: 1 if the claim was there, 0 if not.
local function step(record, args, now_us)
  local stamp, token = args[1], args[2]
  if tag_of(record) ~= 'V' or token_of(record) ~= stamp then return nil, nil, nil, 0 end
  local claimant, _, rest = claim_of(record)
  if claimant ~= token then return nil, nil, nil, 0 end
  return 'set', record:sub(1, 21) .. flags_of(record, false) .. rest, nil, 1
end
