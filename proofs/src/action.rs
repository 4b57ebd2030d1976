//! What can happen next.

use std::fmt;

use crate::{request::Request, token::Token};

/// One step of the modelled world. Actors go by their place in `State::actors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A reader looks at the key; `due`: and will refresh the value that it sees.
    Look {
        /// Which actor.
        actor: usize,
        /// Whether the value counts as due.
        due: bool,
    },
    /// A request is sent, applied and answered.
    Answered(usize, Request),
    /// A request is sent and its sender gives it up.
    Unanswered(usize, Request),
    /// The store applies a request that its sender has given up.
    Late(Request),
    /// A reader reads the database.
    Load(usize),
    /// A writer commits to the database.
    Commit(usize),
    /// An actor disappears, having sent this request.
    Crash(usize, Option<Request>),
    /// A load fails, or a writer rolls back.
    Fail(usize),
    /// The record vanishes.
    Evict,
    /// The deadline of this hold or claim passes.
    Lapse(Token),
}

impl Action {
    /// Who acts, if it isn't the world.
    pub(crate) const fn actor(&self) -> Option<usize> {
        match self {
            Self::Look { actor, .. }
            | Self::Answered(actor, _)
            | Self::Unanswered(actor, _)
            | Self::Load(actor)
            | Self::Commit(actor)
            | Self::Crash(actor, _)
            | Self::Fail(actor) => Some(*actor),
            Self::Late(_) | Self::Evict | Self::Lapse(_) => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look { due: false, .. } => f.write_str("looks at the key"),
            Self::Look { due: true, .. } => f.write_str("sees a value that is due"),
            Self::Answered(_, request) => write!(f, "{request}"),
            Self::Unanswered(_, request) => write!(f, "{request}, unanswered"),
            Self::Late(request) => write!(f, "{request} is applied late"),
            Self::Load(_) => f.write_str("loads"),
            Self::Commit(_) => f.write_str("commits"),
            Self::Crash(_, None) => f.write_str("crashes"),
            Self::Crash(_, Some(request)) => write!(f, "crashes, having sent {request}"),
            Self::Fail(_) => f.write_str("fails"),
            Self::Evict => f.write_str("the record is evicted"),
            Self::Lapse(token) => write!(f, "the deadline of {token} passes"),
        }
    }
}
