-- What GCRA and the token bucket share: a backlog in ticks, of which a microsecond has `rate` and a token `period`.
local MOST = 9007199254740992

local function fresh(rate, period, burst, now)
  return {
    rate = rate, period = period, full = burst * period, now = now, backlog = 0,
    repaired = false, refused = false
  }
end

-- Whether a full backlog of another quota can be one: it is at most 2^52.
local function is_quota(rate, full) return rate > 0 and full > 0 and full <= MOST / 2 end

-- A state with the backlog of the quota (old_rate, old_full): of a changed quota the proportion that is spent is kept, and
-- written for a refused request if it flows back no later than before.
local function carried(state, backlog, old_rate, old_full, repaired)
  state.backlog, state.repaired = backlog, repaired
  if old_rate ~= state.rate or old_full ~= state.full then
    state.backlog = proportion(state.full, backlog, old_full)
    local sooner = ceil_div(state.backlog, state.rate) <= ceil_div(backlog, old_rate)
    state.repaired = repaired or sooner
  end
  return state
end

local function fits(state, cost) return cost * state.period <= state.full - state.backlog end

local function spend(state, cost) state.backlog = state.backlog + cost * state.period end

local function refund(state, cost)
  state.backlog = math.max(0, state.backlog - cost * state.period)
end

local function left(state) return ceil_div(state.backlog, state.rate) end

local function report(state, cost, reply) reply[#reply + 1] = state.backlog end
