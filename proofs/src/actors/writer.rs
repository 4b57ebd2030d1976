//! begin, commit, end.

use super::{Ending, Step};
use crate::{bounds::Bounds, mutants::Mutant, request::Request, token::Token};

/// Writes the row once, inside begin and end.
///
/// If begin is not acknowledged it writes all the same, ends with the same token, and never sends a value. If
/// end is not acknowledged it invalidates until it is; only then is the write complete.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    number: u8,
    stage: Stage,
    hold: Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Begin,
    Commit,
    /// `None`: rolled back.
    End(Option<u8>),
    Invalidate(Option<u8>),
    /// Gone, with a commit on its way that may or may not arrive.
    CommitUnknown,
    Finished,
}

/// What it knows of its hold, and what only the model knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Hold {
    /// Not acknowledged, so never relied on.
    None,
    /// Acknowledged.
    Acknowledged,
    /// Acknowledged, and lost since: evicted or outlived. The writer doesn't know.
    Lost,
}

impl Writer {
    pub(super) const fn new(number: u8, bounds: &Bounds) -> Self {
        let (stage, hold) = match bounds.mutant {
            Some(Mutant::BlindPut) => (Stage::Commit, Hold::Acknowledged),
            _ => (Stage::Begin, Hold::None),
        };
        Self {
            number,
            stage,
            hold,
        }
    }

    pub(super) const fn number(&self) -> u8 {
        self.number
    }

    const fn token(&self) -> Token {
        Token::hold(self.number)
    }

    pub(super) fn steps(&self, bounds: &Bounds) -> [Option<Step>; 2] {
        let step = match self.stage {
            Stage::Begin => Step::Ask(Request::Begin(self.token())),
            Stage::Commit => Step::Commit,
            Stage::End(version) => return self.ends(version, bounds),
            Stage::Invalidate(_) => Step::Ask(Request::Invalidate),
            Stage::CommitUnknown => Step::LateCommit,
            Stage::Finished => return [None; 2],
        };
        [Some(step), None]
    }

    /// A write-through may end with the value or without it.
    fn ends(&self, version: Option<u8>, bounds: &Bounds) -> [Option<Step>; 2] {
        let end = |value| Step::Ask(Request::End(self.token(), value));
        let may_store = bounds.write_through && self.hold != Hold::None && version.is_some();
        let must_store = bounds.mutant == Some(Mutant::BlindPut);
        [
            (!must_store).then(|| end(None)),
            may_store.then(|| end(version)),
        ]
    }

    pub(super) const fn answered(&mut self, request: Request) -> Ending {
        if matches!(request, Request::Begin(_)) {
            self.hold = Hold::Acknowledged;
            self.stage = Stage::Commit;
            return Ending::Open;
        }
        self.finish()
    }

    const fn finish(&mut self) -> Ending {
        let ending = match self.stage {
            Stage::End(Some(version)) | Stage::Invalidate(Some(version)) => {
                Ending::Completed(version)
            }
            _ => Ending::Open,
        };
        self.stop();
        ending
    }

    pub(super) const fn unanswered(&mut self) {
        match self.stage {
            Stage::Begin => self.stage = Stage::Commit,
            Stage::End(version) => {
                self.stage = Stage::Invalidate(version);
                self.hold = Hold::None;
            }
            _ => {}
        }
    }

    /// The commit is in the database. Says whether it happened under a hold that the writer was promised and
    /// that nothing outside the protocol took away.
    pub(super) fn committed(&mut self, version: u8) -> bool {
        let held = self.hold == Hold::Acknowledged;
        if self.stage == Stage::CommitUnknown {
            self.stop();
            return held;
        }
        self.stage = Stage::End(Some(version));
        if self.hold == Hold::Lost {
            // From here on it makes no difference.
            self.hold = Hold::Acknowledged;
        }
        held
    }

    pub(super) const fn roll_back(&mut self) {
        self.stage = Stage::End(None);
    }

    pub(super) fn crash(&mut self) {
        if self.stage == Stage::Commit {
            self.stage = Stage::CommitUnknown;
        } else {
            self.stop();
        }
    }

    const fn stop(&mut self) {
        self.stage = Stage::Finished;
        self.hold = Hold::None;
    }

    /// Eviction or its deadline took this hold.
    pub(crate) fn lose(&mut self, token: Token) {
        let open = matches!(self.stage, Stage::Commit | Stage::CommitUnknown);
        if open && self.token() == token && self.hold == Hold::Acknowledged {
            self.hold = Hold::Lost;
        }
    }

    pub(super) const fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Finished)
    }
}
