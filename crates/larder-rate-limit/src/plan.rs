//! Quotas, made ready.

use std::{borrow::Cow, slice, sync::Arc, time::Duration};

use bytes::Bytes;
use larder_store::{ErrorKind as StoreErrorKind, Reply, Update};
use smallvec::SmallVec;

use crate::{
    Algorithm, Decision, Error, Quota, Result, RetryAfter,
    algorithm::{Terms, is_foreign},
    error::foreign,
};

/// The most quotas of one limiter.
const MOST_QUOTAS: usize = 16;

/// More than every burst, which is at most 2^52.
const MOST_COST: u64 = (1 << 52) + 1;

/// An algorithm with its quotas: makes the updates, and reads their replies.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    algorithm: Algorithm,
    quotas: Arc<[Quota]>,
    terms: SmallVec<[Terms; 1]>,
    packed: Bytes,
    /// Spends one, as nearly every request does.
    one: Update,
}

/// What is done to an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Spends this much, if it fits.
    Spend(u64),
    /// Looks whether this much fits.
    Peek(u64),
    /// Gives this much back.
    Refund(u64),
}

impl Action {
    /// What is asked for: 0 for a refund.
    pub(crate) const fn cost(self) -> u64 {
        match self {
            Self::Spend(cost) | Self::Peek(cost) => cost,
            Self::Refund(_) => 0,
        }
    }

    const fn argument(self) -> i64 {
        match self {
            Self::Spend(cost) | Self::Peek(cost) => bounded(cost),
            Self::Refund(cost) => -bounded(cost),
        }
    }
}

const fn bounded(cost: u64) -> i64 {
    let cost = if cost > MOST_COST { MOST_COST } else { cost };
    cost.cast_signed()
}

impl Plan {
    pub(crate) fn new(algorithm: Algorithm, quotas: Vec<Quota>) -> Result<Self> {
        if quotas.is_empty() || quotas.len() > MOST_QUOTAS {
            let message = format!("a limiter has 1 to 16 quotas, and not {}", quotas.len());
            return Err(Error::config(message));
        }
        let terms = |(at, quota): (usize, &Quota)| {
            let terms = algorithm.terms(quota);
            terms.map_err(|error| error.of(format_args!("quota {} of {}", at + 1, quotas.len())))
        };
        let terms: Result<SmallVec<[Terms; 1]>> = quotas.iter().enumerate().map(terms).collect();
        let terms = terms?;
        let mut packed = Vec::with_capacity(terms.len() * Terms::LEN);
        terms.iter().for_each(|terms| terms.pack(&mut packed));
        let packed = Bytes::from(packed);
        Ok(Self {
            one: update(algorithm, &packed, Action::Spend(1)),
            algorithm,
            quotas: quotas.into(),
            terms,
            packed,
        })
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The most that is admitted at once, by all quotas.
    pub(crate) fn capacity(&self) -> u64 {
        self.quotas.iter().map(Quota::capacity).min().unwrap_or(0)
    }

    pub(crate) const fn quotas(&self) -> &Arc<[Quota]> {
        &self.quotas
    }

    /// The same with this part of every quota, at least one.
    pub(crate) fn scaled(&self, part: f64) -> Result<Self> {
        let scaled = |quota: &Quota| quota.with_numbers(|number| scaled(number, part));
        Self::new(self.algorithm, self.quotas.iter().map(scaled).collect())
    }

    /// Whether this is over what some quota ever admits.
    pub(crate) fn is_over(&self, action: Action) -> bool {
        self.quotas
            .iter()
            .any(|quota| action.cost() > quota.capacity())
    }

    pub(crate) fn update(&self, action: Action) -> Cow<'_, Update> {
        match action {
            Action::Spend(1) => Cow::Borrowed(&self.one),
            action => Cow::Owned(update(self.algorithm, &self.packed, action)),
        }
    }

    /// The decision for a request that was admitted together with later ones, which spent this much.
    pub(crate) fn before(&self, decision: Decision, spent: u64) -> Decision {
        if spent == 0 {
            return decision;
        }
        decision.adjusted(|at, limit| {
            limit.remaining = limit.remaining.saturating_add(spent);
            let back = self.time_of(at, spent);
            limit.reset_after = limit.reset_after.saturating_sub(back);
        })
    }

    /// How long it takes until so much has flown back of a quota.
    pub(crate) fn time_of(&self, at: usize, tokens: u64) -> Duration {
        let terms = self.terms.get(at);
        let time = terms.and_then(|terms| self.algorithm.time_of(*terms, tokens));
        time.unwrap_or_default()
    }

    /// The same refusal, so much later.
    pub(crate) fn later(&self, refusal: Decision, elapsed: Duration) -> Decision {
        refusal.adjusted(|at, limit| {
            let back = self
                .terms
                .get(at)
                .and_then(|it| self.algorithm.flow_in(*it, elapsed));
            let remaining = limit.remaining.saturating_add(back.unwrap_or(0));
            limit.remaining = remaining.min(limit.limit);
            limit.retry_after = limit.retry_after.later(elapsed);
            limit.violated &= limit.retry_after != RetryAfter::ZERO;
            limit.reset_after = limit.reset_after.saturating_sub(elapsed);
        })
    }

    /// What the reply to an update says.
    pub(crate) fn decision(&self, action: Action, reply: &Reply) -> Result<Decision> {
        if is_foreign(reply) {
            return Err(foreign());
        }
        self.read(action, reply).ok_or_else(|| {
            let error = larder_store::Error::new(
                StoreErrorKind::Protocol,
                "a limiter's script should have replied its numbers",
            );
            error.into()
        })
    }

    fn read(&self, action: Action, reply: &Reply) -> Option<Decision> {
        let numbers = match reply {
            Reply::List(replies) => &replies[..],
            one => slice::from_ref(one),
        };
        let mut numbers = numbers.iter().map_while(|reply| match reply {
            Reply::Int(number) => Some(*number),
            _ => None,
        });
        Decision::of(&self.quotas, |at| {
            let terms = *self.terms.get(at)?;
            self.algorithm.report(terms, action.cost(), &mut numbers)
        })
    }
}

fn update(algorithm: Algorithm, packed: &Bytes, action: Action) -> Update {
    let update = Update::new(algorithm.script())
        .arg(action.argument())
        .arg(packed.clone());
    match action {
        Action::Peek(_) => update.arg(1),
        Action::Spend(_) | Action::Refund(_) => update,
    }
}

/// How much a product of a number and a part may be off: 0.29 of 100 is 29, and not 28.999999999999996.
const ROUNDING: f64 = 4.0 * f64::EPSILON;

/// This part of a number, rounded down, and at least one.
fn scaled(number: u64, part: f64) -> u64 {
    let part = (number as f64 * part * (1.0 + ROUNDING)) as u64;
    part.min(number).max(1)
}
