-- abort: the load under this lease failed or was given up.
-- KEYS[1] the record. ARGV: token.
-- Reply: 1 if the lease was there, 0 if not.
local function step(record, args, now_us)
  if tag_of(record) ~= 'L' or token_of(record) ~= args[1] then return nil, nil, nil, 0 end
  return 'delete', nil, nil, 1, wake(record)
end
