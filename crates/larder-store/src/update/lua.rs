//! The Lua around a step: read the record and the clock, run the step, do what it decided.

const SERVER_CLOCK: &str = "\
local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
";

const GIVEN_CLOCK: &str = "\
local now_us = tonumber(table.remove(ARGV))
";

const RUN: &str = "\
local write, bytes, ttl_ms, reply, notify, instead = step(redis.call('GET', KEYS[1]), ARGV, now_us)
if write == 'delete' then
  redis.call('DEL', KEYS[1])
elseif write then
  local set = {'SET', KEYS[1], bytes}
  if ttl_ms then
    set[4], set[5] = 'PX', string.format('%.0f', ttl_ms)
  else
    set[4] = 'KEEPTTL'
  end
  local done = redis.pcall(unpack(set))
  if done.err then
    if write ~= 'set-or-delete' then return done end
    redis.call('DEL', KEYS[1])
    if instead then reply = instead end
  end
end
if notify then
  redis.call('PUBLISH', KEYS[1], notify)
end
return {now_us, reply or false}
";

pub(super) fn script(step: &[&str]) -> String {
    assemble(step, SERVER_CLOCK)
}

pub(super) fn script_at_given_time(step: &[&str]) -> String {
    assemble(step, GIVEN_CLOCK)
}

fn assemble(step: &[&str], clock: &str) -> String {
    [&step.join("\n"), clock, RUN].join("\n")
}
