-- lease: may I load?
-- KEYS[1] the record. ARGV: token, lease in ms, and the undecodable record to replace if there is one.
-- Reply: 1 if the lease was granted, otherwise the record that is there.
local function step(record, args, now_us)
  local token, lease_ms, replace = args[1], tonumber(args[2]), args[3]
  if not record or record == replace then
    return 'set', lease_frame(token, false), lease_ms, 1
  end
  return nil, nil, nil, record
end
