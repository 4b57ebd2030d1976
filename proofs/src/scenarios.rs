//! The models that are checked.

use crate::{bounds::Bounds, sightings::Sight};

/// A model: what it is about, its bounds, and what must have been seen in it, lest it prove nothing.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// Bounds that a debug build gets through in seconds.
    pub quick: Bounds,
    /// Bounds for an optimized build.
    pub full: Bounds,
    /// What must be seen, in either.
    pub sights: &'static [Sight],
}

const LEAST: Bounds = Bounds {
    readers: 1,
    writers: 2,
    invalidators: 1,
    evictions: 1,
    lapses: 0,
    unanswered: 1,
    failures: 0,
    write_through: false,
    puts: false,
    refresh: false,
    waits: false,
    mutant: None,
};

const TWO: Bounds = Bounds {
    readers: 2,
    evictions: 2,
    unanswered: 2,
    ..LEAST
};

/// Where the mutants are looked for. Without a mutant it is one of the [`SCENARIOS`].
pub const HUNTING_GROUND: Bounds = Bounds {
    failures: 1,
    write_through: true,
    refresh: true,
    ..LEAST
};

/// Readers that fill, writers that end without a value.
pub const READ_AND_WRITE: Scenario = Scenario {
    name: "read and write",
    quick: Bounds {
        readers: 2,
        ..LEAST
    },
    full: TWO,
    sights: &[
        Sight::FillStored,
        Sight::FillSuperseded,
        Sight::LeaseRefused,
        Sight::EndLost,
        Sight::EndCleaned,
        Sight::Tainted,
        Sight::LateChange,
        Sight::ValueAtRest,
    ],
};

/// Writers that may end with their value, and holds that run out while others live.
pub const WRITE_THROUGH: Scenario = Scenario {
    name: "write-through",
    quick: Bounds {
        lapses: 1,
        write_through: true,
        ..LEAST
    },
    full: Bounds {
        lapses: 1,
        write_through: true,
        ..TWO
    },
    sights: &[
        Sight::FillStored,
        Sight::EndStored,
        Sight::EndOverlapped,
        Sight::EndCleaned,
        Sight::Tainted,
        Sight::ValueAtRest,
    ],
};

/// One actor crashes at any point, fails to load, rolls back, or never learns whether it has committed.
pub const FAILURE: Scenario = Scenario {
    name: "one failure",
    quick: Bounds {
        failures: 1,
        write_through: true,
        ..LEAST
    },
    full: Bounds {
        lapses: 1,
        failures: 1,
        write_through: true,
        ..TWO
    },
    sights: &[
        Sight::FillStored,
        Sight::EndStored,
        Sight::Aborted,
        Sight::ValueAtRest,
    ],
};

/// Readers that claim and refresh values, and claims that run out.
pub const REFRESH: Scenario = Scenario {
    name: "refresh",
    quick: Bounds {
        readers: 2,
        writers: 1,
        lapses: 1,
        write_through: true,
        refresh: true,
        ..LEAST
    },
    full: Bounds {
        readers: 3,
        writers: 1,
        lapses: 1,
        write_through: true,
        refresh: true,
        ..LEAST
    },
    sights: &[
        Sight::FillStored,
        Sight::RefreshStored,
        Sight::RefreshSuperseded,
        Sight::ClaimRefused,
        Sight::ValueAtRest,
    ],
};

/// Writers without a bracket that put their row if it is newer, beside one with a bracket.
pub const PUT_IF_NEWER: Scenario = Scenario {
    name: "put if newer",
    quick: Bounds {
        writers: 1,
        invalidators: 2,
        write_through: true,
        puts: true,
        ..LEAST
    },
    full: Bounds {
        readers: 2,
        writers: 1,
        invalidators: 2,
        failures: 1,
        write_through: true,
        puts: true,
        refresh: true,
        ..LEAST
    },
    sights: &[
        Sight::FillStored,
        Sight::EndStored,
        Sight::PutStored,
        Sight::PutKept,
        Sight::PutDropped,
        Sight::LateChange,
        Sight::ValueAtRest,
    ],
};

/// Readers that are refused a lease, ask to be told of its end, and try once more.
pub const WAIT: Scenario = Scenario {
    name: "wait",
    quick: Bounds {
        readers: 2,
        writers: 1,
        waits: true,
        ..LEAST
    },
    full: Bounds {
        readers: 2,
        failures: 1,
        waits: true,
        ..LEAST
    },
    sights: &[Sight::FillStored, Sight::LeaseRefused, Sight::Notified],
};

/// Reads, refreshes and writes of every sort, with whatever can go wrong.
pub const MIXED: Scenario = Scenario {
    name: "mixed",
    quick: HUNTING_GROUND,
    full: Bounds {
        readers: 2,
        ..HUNTING_GROUND
    },
    sights: &[
        Sight::FillStored,
        Sight::EndStored,
        Sight::RefreshStored,
        Sight::RefreshSuperseded,
        Sight::Aborted,
        Sight::Unclaimed,
        Sight::ValueAtRest,
    ],
};

/// All of them.
pub const SCENARIOS: [Scenario; 7] = [
    READ_AND_WRITE,
    WRITE_THROUGH,
    FAILURE,
    REFRESH,
    PUT_IF_NEWER,
    WAIT,
    MIXED,
];
