//! look-up, lease, load, fill; and claim, load, refresh.

use bytes::Bytes;
use larder_cache::steps::Record;
use larder_store::Reply;

use super::Step;
use crate::{bounds::Bounds, mutants::Mutant, request::Request, token::Token};

/// Reads the key once.
///
/// A reader that finds a value returns it, and one that may not store what it loads returns what it loaded:
/// neither has a further effect, so both are finished. A reader never acts on a token whose request was not
/// acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reader {
    number: u8,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Look { attempt: u8 },
    Lease { attempt: u8 },
    Wait,
    Load(Permission),
    Store(Permission, u8),
    Abort(Token),
    Unclaim { stamp: Token, claim: Token },
    Claim { stamp: Token },
    Finished,
}

/// What a reader stores its value with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Permission {
    Lease(Token),
    Claim { stamp: Token, claim: Token },
}

impl Reader {
    pub(super) const fn new(number: u8) -> Self {
        Self {
            number,
            stage: Stage::Look { attempt: 0 },
        }
    }

    pub(super) const fn number(&self) -> u8 {
        self.number
    }

    pub(super) fn steps(&self, bounds: &Bounds) -> [Option<Step>; 2] {
        match self.stage {
            Stage::Look { .. } => [
                Some(Step::Look { due: false }),
                bounds.refresh.then_some(Step::Look { due: true }),
            ],
            Stage::Load(_) => [Some(Step::Load), None],
            _ => [self.request().map(Step::Ask), None],
        }
    }

    const fn request(&self) -> Option<Request> {
        Some(match self.stage {
            Stage::Lease { attempt } => Request::Lease(Token::lease(self.number, attempt)),
            Stage::Wait => Request::Wait,
            Stage::Store(Permission::Lease(token), version) => Request::Fill(token, version),
            Stage::Store(Permission::Claim { stamp, claim }, version) => Request::Refresh {
                stamp,
                claim,
                version,
            },
            Stage::Abort(token) => Request::Abort(token),
            Stage::Unclaim { stamp, claim } => Request::Unclaim { stamp, claim },
            Stage::Claim { stamp } => Request::Claim {
                stamp,
                claim: Token::claim(self.number),
            },
            Stage::Look { .. } | Stage::Load(_) | Stage::Finished => return None,
        })
    }

    /// Looks at the record. Says whether that was possible: only a value can be due.
    pub(crate) fn look(&mut self, record: Option<&Bytes>, due: bool, bounds: &Bounds) -> bool {
        let Stage::Look { attempt } = self.stage else {
            return false;
        };
        let found = record.map(|bytes| Record::parse(bytes));
        self.stage = match found {
            Some(Record::Value { stamp, .. }) if due => Stage::Claim {
                stamp: Token::of(stamp),
            },
            _ if due => return false,
            None if bounds.mutant == Some(Mutant::BlindFill) => {
                Stage::Load(Permission::Lease(self.lease(attempt)))
            }
            None => Stage::Lease { attempt },
            Some(Record::Lease { .. }) if bounds.waits && attempt == 0 => Stage::Wait,
            Some(_) => Stage::Finished,
        };
        true
    }

    pub(super) fn answered(&mut self, reply: &Reply, bounds: &Bounds) {
        let granted = *reply == Reply::Int(1);
        self.stage = match self.stage {
            Stage::Lease { attempt } if granted => {
                Stage::Load(Permission::Lease(self.lease(attempt)))
            }
            Stage::Lease { attempt: 0 } if bounds.waits => Stage::Wait,
            // The end of the wait, by a wake-up or a poll, may come at any time: so may the next look.
            Stage::Wait => Stage::Look { attempt: 1 },
            Stage::Claim { stamp } if granted => Stage::Load(self.claim(stamp)),
            _ => Stage::Finished,
        };
    }

    /// It loads and returns the value, and stores nothing.
    pub(super) fn unanswered(&mut self, bounds: &Bounds) {
        self.stage = match (self.stage, bounds.mutant) {
            (Stage::Lease { attempt }, Some(Mutant::ActOnUnacknowledged)) => {
                Stage::Load(Permission::Lease(self.lease(attempt)))
            }
            (Stage::Lease { attempt }, Some(Mutant::Resend)) => Stage::Lease { attempt },
            _ => Stage::Finished,
        };
    }

    /// It has read this version from the database.
    pub(crate) fn loaded(&mut self, version: u8) {
        if let Stage::Load(permission) = self.stage {
            self.stage = Stage::Store(permission, version);
        }
    }

    /// The load failed: the lease or the claim is given back.
    pub(super) fn fail(&mut self) {
        self.stage = match self.stage {
            Stage::Load(Permission::Lease(token)) => Stage::Abort(token),
            Stage::Load(Permission::Claim { stamp, claim }) => Stage::Unclaim { stamp, claim },
            _ => Stage::Finished,
        };
    }

    pub(super) fn crash(&mut self) {
        self.stage = Stage::Finished;
    }

    pub(super) const fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Finished)
    }

    const fn lease(&self, attempt: u8) -> Token {
        Token::lease(self.number, attempt)
    }

    const fn claim(&self, stamp: Token) -> Permission {
        Permission::Claim {
            stamp,
            claim: Token::claim(self.number),
        }
    }
}
