-- put_if_newer: the database has changed, and this is its row as of that version.
-- KEYS[1] the record. ARGV: token, version (8 bytes), sealed value ('' to drop an older one), flags, ttl in ms.
-- Reply: 2 if the value was stored, 1 if what was there was dropped, 0 if nothing was, or nothing older.

-- The version of a value, at an offset that its claim shifts; nil if it has none.
local function version_of(record)
  local flags = record:byte(22)
  if flags % 8 < 4 then return nil end
  local at = flags % 4 < 2 and 48 or 72
  return record:sub(at, at + 7)
end

-- In halves: as one number a version may be more than Lua counts exactly.
local function is_older(version, other)
  local high, low = struct.unpack('>I4I4', version)
  local other_high, other_low = struct.unpack('>I4I4', other)
  return high < other_high or high == other_high and low < other_low
end

local function step(record, args, now_us)
  local token, version, sealed, flags, ttl_ms = args[1], args[2], args[3], tonumber(args[4]), tonumber(args[5])
  local tag = tag_of(record)
  if not tag then return nil, nil, nil, 0 end
  if tag == 'H' then
    local write, bytes = taint(record)
    return write, bytes, nil, 1
  end
  local there = tag == 'V' and version_of(record)
  -- A deletion has no version of its own: one that comes with the row's last drops it.
  local deletion = sealed == '' or flags % 2 == 1
  if there and is_older(version, there) then return nil, nil, nil, 0 end
  if there == version and not deletion then return nil, nil, nil, 0 end
  if there and there ~= version and sealed ~= '' then
    return 'set-or-delete', value_frame(token, flags, now_us, sealed), ttl_ms, 2, nil, 1
  end
  return 'delete', nil, nil, 1, wake(record)
end
