-- reset: forgets an identity.
-- KEYS[1] the record. Reply: 1 if there was one, 0 if there was none, 'foreign' if it is somebody else's.
local function step(record, args, now)
  if not record then return nil, nil, nil, 0 end
  if record:sub(1, 5) ~= 'LDR\1R' then return nil, nil, nil, 'foreign' end
  return 'delete', nil, nil, 1
end
