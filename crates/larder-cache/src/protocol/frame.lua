-- Frames, as src/frame.rs describes them.
local MAGIC = 'LDR\1'

-- The tag of a well-formed record: 'L', 'V' or 'H'; '?' for foreign bytes; nil for none.
local function tag_of(record)
  if not record then return nil end
  local tag, size = record:sub(5, 5), #record
  if record:sub(1, 4) ~= MAGIC then return '?' end
  if tag == 'L' and size == 22 then return 'L' end
  if tag == 'H' and size > 6 and (size - 6) % 24 == 0 then return 'H' end
  if tag == 'V' and size >= 47 then
    local claimed, versioned = record:byte(22) % 4 >= 2, record:byte(22) % 8 >= 4
    if size >= 47 + (claimed and 24 or 0) + (versioned and 8 or 0) then return 'V' end
  end
  return '?'
end

-- The token of a lease or the stamp of a value.
local function token_of(record) return record:sub(6, 21) end

-- What to notify when a record goes: something if it is a lease that followers wait for.
local function wake(record)
  if tag_of(record) == 'L' and record:byte(22) % 2 == 1 then return 'wake' end
end

local function u64(number) return struct.pack('>I8', number) end

local function lease_frame(token, waited)
  return MAGIC .. 'L' .. token .. string.char(waited and 1 or 0)
end

-- A new value; flags are 1 for a negative one and 4 for a versioned one, sealed is what the client prepared.
local function value_frame(token, flags, now_us, sealed)
  return MAGIC .. 'V' .. token .. string.char(flags) .. u64(math.floor(now_us / 1000)) .. sealed
end
