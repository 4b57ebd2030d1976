//! How much of the world a model holds.

use crate::mutants::Mutant;

/// The bounds of a model. Within them the checker tries every interleaving.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bounds {
    /// Readers, each reading once.
    pub readers: u8,
    /// Writers that bracket their database write with begin and end.
    pub writers: u8,
    /// Writers that only invalidate after their commit.
    pub invalidators: u8,
    /// How often the record may vanish: eviction, FLUSHALL, or its time running out.
    pub evictions: u8,
    /// How often a hold or a claim may run out in a record that stays.
    pub lapses: u8,
    /// How many requests may go unacknowledged. The sender goes on as if its request had failed; the store
    /// applies it at any later time, or never.
    pub unanswered: u8,
    /// How many times an actor may fail: crash, fail to load, roll back, or not learn whether it committed.
    pub failures: u8,
    /// Whether an end may carry the value (write-through) or not; then both are tried.
    pub write_through: bool,
    /// Whether writers that only invalidate put their version first, and invalidate where that goes unanswered.
    pub puts: bool,
    /// Whether a value that a reader sees may be due, so that it claims and refreshes it.
    pub refresh: bool,
    /// Whether a reader that is refused a lease asks to be told of its end and tries once more.
    pub waits: bool,
    /// The mistake that is built in, if any.
    pub mutant: Option<Mutant>,
}

impl Bounds {
    /// The same bounds with a mistake built in.
    #[must_use]
    pub const fn with(self, mutant: Mutant) -> Self {
        Self {
            mutant: Some(mutant),
            ..self
        }
    }
}
