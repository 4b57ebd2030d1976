//! Proof that the proofs are not about nothing: what happened while the checker looked.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use larder_cache::steps::Record;
use larder_store::{Outcome, Reply, Write};

use crate::request::Request;

/// Something that a step can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Sight {
    /// A fill stored its value.
    FillStored,
    /// A fill found its lease gone.
    FillSuperseded,
    /// A lease was refused.
    LeaseRefused,
    /// An end stored its value.
    EndStored,
    /// An end with a value found its hold, and stored nothing: someone had overlapped.
    EndOverlapped,
    /// An end found its hold gone.
    EndLost,
    /// An end that had lost its hold dropped what had come in its place.
    EndCleaned,
    /// A begin, an end or an invalidation tainted the holds of others.
    Tainted,
    /// A refresh stored its value.
    RefreshStored,
    /// A refresh found its value or claim gone.
    RefreshSuperseded,
    /// A claim was refused.
    ClaimRefused,
    /// A put replaced an older value.
    PutStored,
    /// A put found a newer value, or the same, or nothing.
    PutKept,
    /// A put dropped a lease, or tainted holds.
    PutDropped,
    /// An abort gave its lease back.
    Aborted,
    /// An unclaim gave its claim back.
    Unclaimed,
    /// A step notified those who wait for a lease.
    Notified,
    /// A request that its sender had given up changed the record.
    LateChange,
    /// After writes, everyone was done and a value was in the cache.
    ValueAtRest,
}

impl Sight {
    /// All of them.
    pub const ALL: [Self; COUNT] = [
        Self::FillStored,
        Self::FillSuperseded,
        Self::LeaseRefused,
        Self::EndStored,
        Self::EndOverlapped,
        Self::EndLost,
        Self::EndCleaned,
        Self::Tainted,
        Self::RefreshStored,
        Self::RefreshSuperseded,
        Self::ClaimRefused,
        Self::PutStored,
        Self::PutKept,
        Self::PutDropped,
        Self::Aborted,
        Self::Unclaimed,
        Self::Notified,
        Self::LateChange,
        Self::ValueAtRest,
    ];

    fn of(request: Request, before: Option<&Bytes>, outcome: &Outcome) -> Option<Self> {
        let done = matches!(outcome.reply, Reply::Int(1));
        Some(match (request, &outcome.reply) {
            (Request::Fill(..), _) if done => Self::FillStored,
            (Request::Fill(..), _) => Self::FillSuperseded,
            (Request::Lease(_), Reply::Bytes(_)) => Self::LeaseRefused,
            (Request::End(..), Reply::Int(2)) => Self::EndStored,
            (Request::End(_, Some(_)), Reply::Int(1)) => Self::EndOverlapped,
            (Request::End(..), Reply::Int(0)) if outcome.write != Write::Keep => Self::EndCleaned,
            (Request::End(..), Reply::Int(0)) => Self::EndLost,
            (Request::Begin(_) | Request::Invalidate, _) if taints(before, outcome) => {
                Self::Tainted
            }
            (Request::Refresh { .. }, _) if done => Self::RefreshStored,
            (Request::Refresh { .. }, _) => Self::RefreshSuperseded,
            (Request::Claim { .. }, _) if !done => Self::ClaimRefused,
            (Request::PutIfNewer(..), Reply::Int(2)) => Self::PutStored,
            (Request::PutIfNewer(..), Reply::Int(1)) => Self::PutDropped,
            (Request::PutIfNewer(..), _) => Self::PutKept,
            (Request::Abort(_), _) if done => Self::Aborted,
            (Request::Unclaim { .. }, _) if done => Self::Unclaimed,
            _ => return None,
        })
    }
}

const COUNT: usize = 19;

/// How often each [`Sight`] was seen: once for every transition that shows it. The checker may take a
/// transition again to retrace a path, so the counts tell "never" from "often", and nothing finer.
#[derive(Debug, Default)]
pub struct Sightings([AtomicU64; COUNT]);

impl Sightings {
    /// How often this was seen.
    #[must_use]
    pub fn count(&self, sight: Sight) -> u64 {
        self.0[sight as usize].load(Ordering::Relaxed)
    }

    /// What was never seen.
    #[must_use]
    pub fn missing(&self, wanted: &[Sight]) -> Vec<Sight> {
        let unseen = |sight: &Sight| self.count(*sight) == 0;
        wanted.iter().copied().filter(unseen).collect()
    }

    /// Takes note of a step.
    pub(crate) fn note(
        &self,
        request: Request,
        before: Option<&Bytes>,
        outcome: &Outcome,
        late: bool,
    ) {
        if let Some(sight) = Sight::of(request, before, outcome) {
            self.add(sight);
        }
        if outcome.notify.is_some() {
            self.add(Sight::Notified);
        }
        if late && outcome.write != Write::Keep {
            self.add(Sight::LateChange);
        }
    }

    pub(crate) fn add(&self, sight: Sight) {
        self.0[sight as usize].fetch_add(1, Ordering::Relaxed);
    }
}

fn taints(before: Option<&Bytes>, outcome: &Outcome) -> bool {
    let tainted =
        |bytes: &Bytes| matches!(Record::parse(bytes), Record::Holds { tainted: true, .. });
    match &outcome.write {
        Write::Set(after, _) | Write::SetOrDelete(after, _) => {
            tainted(after) && !before.is_some_and(tainted)
        }
        Write::Keep | Write::Delete => false,
    }
}
