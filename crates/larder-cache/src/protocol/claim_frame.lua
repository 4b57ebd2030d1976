-- The claim of a value: its token and deadline, or nothing; then whatever follows the claim.
local function claim_of(record)
  if record:byte(22) % 4 < 2 then return nil, nil, record:sub(23) end
  return record:sub(23, 38), struct.unpack('>I8', record, 39), record:sub(47)
end

-- The same flags, claimed or not.
local function flags_of(record, claimed)
  local flags = record:byte(22) % 8
  return string.char(flags - flags % 4 + flags % 2 + (claimed and 2 or 0))
end
