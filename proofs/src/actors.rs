//! Who takes part: readers, writers that bracket their write, writers that only invalidate.
//!
//! An actor is a small state machine. Between sending a request and hearing of it an actor does nothing, so
//! that sending, applying and answering are one action, unless the request goes unanswered. That the answer
//! comes at once makes writes complete as early as they can, which is the strictest case.

mod invalidator;
mod reader;
mod writer;

use std::fmt;

use larder_store::Reply;

use crate::{bounds::Bounds, request::Request};

pub(crate) use invalidator::Invalidator;
pub(crate) use reader::Reader;
pub(crate) use writer::Writer;

/// What an actor can do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look at the key; `due`: take a value that is there as one to be refreshed.
    Look { due: bool },
    /// Send this request.
    Ask(Request),
    /// Read the database.
    Load,
    /// Commit to the database.
    Commit,
    /// The commit of a writer that is gone reaches the database after all.
    LateCommit,
}

/// What an answer means to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing.
    Open,
    /// The write of this version is acknowledged: from here on no reader may see an older one.
    Completed(u8),
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Actor {
    Reader(Reader),
    Writer(Writer),
    Invalidator(Invalidator),
}

impl Actor {
    /// All actors of a model.
    pub(crate) fn cast(bounds: &Bounds) -> Vec<Self> {
        let readers = (1..=bounds.readers).map(|number| Self::Reader(Reader::new(number)));
        let writers = (1..=bounds.writers).map(|number| Self::Writer(Writer::new(number, bounds)));
        let numbers = bounds.writers + 1..=bounds.writers + bounds.invalidators;
        let invalidators =
            numbers.map(|number| Self::Invalidator(Invalidator::new(number, bounds)));
        readers.chain(writers).chain(invalidators).collect()
    }

    /// What it can do next, if anything.
    pub(crate) fn steps(&self, bounds: &Bounds) -> impl Iterator<Item = Step> + use<> {
        let steps = match self {
            Self::Reader(reader) => reader.steps(bounds),
            Self::Writer(writer) => writer.steps(bounds),
            Self::Invalidator(invalidator) => [invalidator.step(), None],
        };
        steps.into_iter().flatten()
    }

    /// The store answered.
    pub(crate) fn answered(&mut self, request: Request, reply: &Reply, bounds: &Bounds) -> Ending {
        match self {
            Self::Reader(reader) => {
                reader.answered(reply, bounds);
                Ending::Open
            }
            Self::Writer(writer) => writer.answered(request),
            Self::Invalidator(invalidator) => invalidator.answered(),
        }
    }

    /// The store did not answer in time.
    pub(crate) fn unanswered(&mut self, bounds: &Bounds) {
        match self {
            Self::Reader(reader) => reader.unanswered(bounds),
            Self::Writer(writer) => writer.unanswered(),
            Self::Invalidator(invalidator) => invalidator.unanswered(),
        }
    }

    /// Its commit is in the database. Says whether that happened under a hold.
    pub(crate) fn committed(&mut self, version: u8) -> bool {
        match self {
            Self::Writer(writer) => return writer.committed(version),
            Self::Invalidator(invalidator) => invalidator.committed(version),
            Self::Reader(_) => {}
        }
        false
    }

    /// It is gone. What it has sent may still arrive.
    pub(crate) fn crash(&mut self) {
        match self {
            Self::Reader(reader) => reader.crash(),
            Self::Writer(writer) => writer.crash(),
            Self::Invalidator(invalidator) => invalidator.crash(),
        }
    }

    /// Its load failed, or its write was rolled back for sure.
    pub(crate) fn fail(&mut self) {
        match self {
            Self::Reader(reader) => reader.fail(),
            Self::Writer(writer) => writer.roll_back(),
            Self::Invalidator(invalidator) => invalidator.roll_back(),
        }
    }

    /// Whether there is nothing more to come from it.
    pub(crate) const fn is_finished(&self) -> bool {
        match self {
            Self::Reader(reader) => reader.is_finished(),
            Self::Writer(writer) => writer.is_finished(),
            Self::Invalidator(invalidator) => invalidator.is_finished(),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reader(reader) => write!(f, "reader {}", reader.number()),
            Self::Writer(writer) => write!(f, "writer {}", writer.number()),
            Self::Invalidator(invalidator) => write!(f, "plain writer {}", invalidator.number()),
        }
    }
}
