//! Mistakes that look harmless. Each has a stale trace, and the checker must find it.

use bytes::Bytes;
use larder_cache::steps::Record;
use larder_store::{Outcome, Reply, Write};

use crate::{
    bounds::Bounds,
    properties::{HOLDS_PROTECT, NO_STALE_READ},
    record::{NOW, cached_version, fill_blindly, live_holds},
    request::Request,
    scenarios::HUNTING_GROUND,
    token::Token,
};

/// One mistake, built into the protocol or into those who speak it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// begin, end and invalidate leave no taint on the holds of others.
    NoTaint,
    /// One marker instead of a list of holds: begin overwrites whoever was there, and nobody else can leave a
    /// trace on it.
    OneMarker,
    /// begin overwrites the holds of others, and everything else is as it should be.
    BeginOverwrites,
    /// A reader loads and fills under a lease whose request was never acknowledged.
    ActOnUnacknowledged,
    /// A reader whose request for a lease went unanswered sends it again with the same token.
    Resend,
    /// end does nothing if its hold is gone.
    EndIgnoresLoss,
    /// invalidate deletes holds instead of tainting them.
    InvalidateErases,
    /// Cache-aside by the textbook: GET, load, SET.
    BlindFill,
    /// Write-through by the textbook: commit, SET.
    BlindPut,
    /// refresh replaces whatever value is there, without a look at stamp and claim.
    BlindRefresh,
    /// put_if_newer replaces a value without a look at its version.
    PutIgnoresVersion,
    /// put_if_newer leaves a lease alone, since it is no value.
    PutSparesLease,
    /// put_if_newer stores where nothing is, since nothing there is newer.
    PutFillsVacancy,
    /// put_if_newer deletes holds instead of tainting them.
    PutErasesHolds,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::NoTaint,
        Self::OneMarker,
        Self::BeginOverwrites,
        Self::ActOnUnacknowledged,
        Self::Resend,
        Self::EndIgnoresLoss,
        Self::InvalidateErases,
        Self::BlindFill,
        Self::BlindPut,
        Self::BlindRefresh,
        Self::PutIgnoresVersion,
        Self::PutSparesLease,
        Self::PutFillsVacancy,
        Self::PutErasesHolds,
    ];

    /// The mistake in a few words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoTaint => "no taint",
            Self::OneMarker => "one overwriting marker",
            Self::BeginOverwrites => "begin overwrites holds",
            Self::ActOnUnacknowledged => "acting on an unacknowledged token",
            Self::Resend => "re-sending the same token",
            Self::EndIgnoresLoss => "end ignores a missing token",
            Self::InvalidateErases => "invalidate erases holds",
            Self::BlindFill => "cache-aside with a blind SET",
            Self::BlindPut => "write-through with a blind SET",
            Self::BlindRefresh => "refresh without stamp and claim",
            Self::PutIgnoresVersion => "put_if_newer ignores the version",
            Self::PutSparesLease => "put_if_newer spares a lease",
            Self::PutFillsVacancy => "put_if_newer fills a vacancy",
            Self::PutErasesHolds => "put_if_newer erases holds",
        }
    }

    /// The property that this mistake breaks.
    ///
    /// A hold that another writer's step took away is noticed by the end of the writer whose hold it was: a
    /// write that is complete stays safe. What is lost is the protection from the commit to that end, and for
    /// good if the writer dies in between.
    #[must_use]
    pub const fn breaks(self) -> &'static str {
        match self {
            Self::BeginOverwrites | Self::InvalidateErases | Self::PutErasesHolds => HOLDS_PROTECT,
            _ => NO_STALE_READ,
        }
    }

    /// The bounds to look for it in: [`HUNTING_GROUND`], in which the protocol itself holds, without what
    /// would lead to a trace that is shorter but not typical.
    #[must_use]
    pub const fn ground(self) -> Bounds {
        let ground = HUNTING_GROUND.with(self);
        match self {
            Self::OneMarker => Bounds {
                invalidators: 0,
                unanswered: 0,
                ..ground
            },
            Self::EndIgnoresLoss => Bounds {
                unanswered: 0,
                ..ground
            },
            Self::PutErasesHolds => Bounds {
                puts: true,
                ..ground
            },
            Self::PutIgnoresVersion | Self::PutSparesLease | Self::PutFillsVacancy => Bounds {
                writers: 0,
                invalidators: 2,
                puts: true,
                ..ground
            },
            _ => ground,
        }
    }

    /// The step as the mistake has it. Where it makes no difference, the real one.
    pub(crate) fn apply(self, request: Request, record: Option<&Bytes>) -> Outcome {
        let real = || request.update().apply(record, NOW);
        match (self, request) {
            (Self::NoTaint, _) => untainted(real()),
            (Self::OneMarker | Self::BeginOverwrites, Request::Begin(_)) => {
                request.update().apply(None, NOW)
            }
            (Self::OneMarker, Request::Invalidate | Request::End(..)) => match real() {
                outcome if taints(&outcome) => Outcome::keep(outcome.reply),
                outcome => outcome,
            },
            (Self::EndIgnoresLoss, Request::End(token, _)) if !holds(record, token) => {
                Outcome::keep(Reply::Int(0))
            }
            (Self::InvalidateErases, Request::Invalidate) => {
                Outcome::new(Write::Delete, Reply::Int(1))
            }
            (Self::BlindFill, Request::Fill(token, version))
            | (Self::BlindPut, Request::End(token, Some(version))) => fill_blindly(token, version),
            (Self::BlindRefresh, Request::Refresh { claim, version, .. }) if is_value(record) => {
                fill_blindly(claim, version)
            }
            (Self::PutIgnoresVersion, Request::PutIfNewer(token, version)) if is_value(record) => {
                fill_blindly(token, version)
            }
            (Self::PutSparesLease, Request::PutIfNewer(..)) if is_lease(record) => {
                Outcome::keep(Reply::Int(0))
            }
            (Self::PutFillsVacancy, Request::PutIfNewer(token, version)) if record.is_none() => {
                fill_blindly(token, version)
            }
            (Self::PutErasesHolds, Request::PutIfNewer(..)) if !live_holds(record).is_empty() => {
                Outcome::new(Write::Delete, Reply::Int(1))
            }
            _ => real(),
        }
    }
}

fn is_value(record: Option<&Bytes>) -> bool {
    cached_version(record).is_some()
}

fn is_lease(record: Option<&Bytes>) -> bool {
    record.is_some_and(|bytes| matches!(Record::parse(bytes), Record::Lease { .. }))
}

fn holds(record: Option<&Bytes>, token: Token) -> bool {
    record.is_some_and(|bytes| match Record::parse(bytes) {
        Record::Holds { tokens, .. } => tokens.contains(&token.plain()),
        _ => false,
    })
}

/// Whether this outcome leaves holds behind with a taint on them.
fn taints(outcome: &Outcome) -> bool {
    match &outcome.write {
        Write::Set(bytes, _) | Write::SetOrDelete(bytes, _) => {
            matches!(Record::parse(bytes), Record::Holds { tainted: true, .. })
        }
        Write::Keep | Write::Delete => false,
    }
}

/// The same outcome without the taint, which is the byte behind the head of five.
fn untainted(mut outcome: Outcome) -> Outcome {
    if taints(&outcome)
        && let Write::Set(bytes, _) | Write::SetOrDelete(bytes, _) = &mut outcome.write
    {
        let mut clean = bytes.to_vec();
        clean[5] = 0;
        *bytes = clean.into();
    }
    outcome
}
