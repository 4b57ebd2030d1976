-- begin: a writer is about to change the database. Nobody fills until it ends.
-- KEYS[1] the record. ARGV: token, hold in ms.
-- Reply: 1.
local function step(record, args, now_us)
  local token, now_ms = args[1], math.floor(now_us / 1000)
  local deadline = now_ms + tonumber(args[2])
  local live, latest, _ = {}, 0, nil
  if tag_of(record) == 'H' then live, _, latest = live_without(holds_of(record), token, now_ms) end
  local overlapping = #live > 0
  live[#live + 1] = {token, deadline}
  return 'set', holds_frame(overlapping, live), math.max(latest, deadline) - now_ms, 1, wake(record)
end
