-- wait: tell me when the lease goes. Subscribe first.
-- KEYS[1] the record. ARGV: none.
-- Reply: 1 if there is a lease to wait for, otherwise the record that is there, or nil.
local function step(record, args, now_us)
  if tag_of(record) ~= 'L' then return nil, nil, nil, record end
  if wake(record) then return nil, nil, nil, 1 end
  return 'set', lease_frame(token_of(record), true), nil, 1
end
