-- invalidate: the database has changed. Run it after the commit.
-- KEYS[1] the record. ARGV: none.
-- Reply: 1 if there was a record, 0 if not.
local function step(record, args, now_us)
  if not record then return nil, nil, nil, 0 end
  if tag_of(record) == 'H' then
    local write, bytes = taint(record)
    return write, bytes, nil, 1
  end
  return 'delete', nil, nil, 1, wake(record)
end
