//! commit, invalidate.

use super::{Ending, Step};
use crate::request::Request;

/// Writes the row without a bracket, then invalidates until that is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Invalidator {
    number: u8,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Commit,
    Invalidate(u8),
    CommitUnknown,
    Finished,
}

impl Invalidator {
    pub(super) const fn new(number: u8) -> Self {
        Self {
            number,
            stage: Stage::Commit,
        }
    }

    pub(super) const fn number(&self) -> u8 {
        self.number
    }

    pub(super) const fn step(&self) -> Option<Step> {
        match self.stage {
            Stage::Commit => Some(Step::Commit),
            Stage::Invalidate(_) => Some(Step::Ask(Request::Invalidate)),
            Stage::CommitUnknown => Some(Step::LateCommit),
            Stage::Finished => None,
        }
    }

    pub(super) const fn answered(&mut self) -> Ending {
        let ending = match self.stage {
            Stage::Invalidate(version) => Ending::Completed(version),
            _ => Ending::Open,
        };
        self.stage = Stage::Finished;
        ending
    }

    pub(super) fn committed(&mut self, version: u8) {
        self.stage = match self.stage {
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
