//! commit, invalidate; or commit, put_if_newer.

use super::{Ending, Step};
use crate::{bounds::Bounds, request::Request, token::Token};

/// Writes the row without a bracket, then invalidates until that is acknowledged; or puts the row's new version, and
/// invalidates if that is not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Invalidator {
    number: u8,
    puts: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Commit,
    Put(u8),
    Invalidate(u8),
    CommitUnknown,
    Finished,
}

impl Invalidator {
    pub(super) const fn new(number: u8, bounds: &Bounds) -> Self {
        Self {
            number,
            puts: bounds.puts,
            stage: Stage::Commit,
        }
    }

    pub(super) const fn number(&self) -> u8 {
        self.number
    }

    pub(super) const fn step(&self) -> Option<Step> {
        match self.stage {
            Stage::Commit => Some(Step::Commit),
            Stage::Put(version) => {
                let token = Token::put(self.number);
                Some(Step::Ask(Request::PutIfNewer(token, version)))
            }
            Stage::Invalidate(_) => Some(Step::Ask(Request::Invalidate)),
            Stage::CommitUnknown => Some(Step::LateCommit),
            Stage::Finished => None,
        }
    }

    pub(super) const fn answered(&mut self) -> Ending {
        let ending = match self.stage {
            Stage::Put(version) | Stage::Invalidate(version) => Ending::Completed(version),
            _ => Ending::Open,
        };
        self.stage = Stage::Finished;
        ending
    }

    /// An invalidation is repeated until it is answered.
    pub(super) const fn unanswered(&mut self) {
        if let Stage::Put(version) = self.stage {
            self.stage = Stage::Invalidate(version);
        }
    }

    pub(super) fn committed(&mut self, version: u8) {
        self.stage = match self.stage {
            Stage::Commit if self.puts => Stage::Put(version),
            Stage::Commit => Stage::Invalidate(version),
            _ => Stage::Finished,
        };
    }

    pub(super) const fn roll_back(&mut self) {
        self.stage = Stage::Finished;
    }

    pub(super) fn crash(&mut self) {
        self.stage = match self.stage {
            Stage::Commit => Stage::CommitUnknown,
            _ => Stage::Finished,
        };
    }

    pub(super) const fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Finished)
    }
}
