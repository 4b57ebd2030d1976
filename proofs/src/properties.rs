//! What must hold in every state.

use stateright::Property;

use crate::{model::Protocol, sightings::Sight, state::State};

/// A look-up never returns a version older than one whose writer was told that its write is complete, be it
/// by its own end or by an invalidation. A reader that loads instead reads the database later than it
/// started, so no read that starts after a completed write returns anything older.
pub const NO_STALE_READ: &str = "no value is older than a completed write";

/// A commit that happened under a hold is safe from older values at once, whether or not its writer lives to
/// end it. The hold counts as long as it was acknowledged and neither evicted nor outlived: the protocol's own
/// steps must never take it away.
pub const HOLDS_PROTECT: &str = "no value is older than a commit under a hold";

/// When everyone is done and no request is under way, a value in the cache is that of the database, unless
/// the newest commit is one that nobody was promised anything about: its writer died before its write was
/// acknowledged, and had no hold when it committed.
pub const AT_REST: &str = "at rest the cache agrees with the database";

/// Whatever step takes away a lease that someone waits for notifies them.
pub const NOTICE: &str = "a lease that is waited for never goes without notice";

pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(NO_STALE_READ, |_, state| !is_older(state, state.completed)),
        Property::always(HOLDS_PROTECT, |_, state| !is_older(state, state.owed)),
        Property::always(AT_REST, agrees_at_rest),
        Property::always(NOTICE, |_, state: &State| !state.silent),
    ]
}

fn is_older(state: &State, version: u8) -> bool {
    state.cached().is_some_and(|cached| cached < version)
}

fn agrees_at_rest(model: &Protocol, state: &State) -> bool {
    if !state.is_at_rest() || state.owed < state.version {
        return true;
    }
    let cached = state.cached();
    if state.version > 0 && cached.is_some() {
        model.sightings.add(Sight::ValueAtRest);
    }
    cached.is_none_or(|cached| cached == state.version)
}
