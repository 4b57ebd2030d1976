//! The algorithms' steps as plain updates, for proofs and tests. Not covered by semantic versioning; applications use
//! [`RateLimiter`](crate::RateLimiter).

use larder_store::{Reply, Update};

use crate::{
    Algorithm, Decision, Quota, Result,
    plan::{Action, Plan},
    reset,
};

/// One algorithm with its quotas.
#[derive(Debug, Clone)]
pub struct Steps(Plan);

impl Steps {
    /// The steps of these quotas.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if they can't be counted.
    pub fn new(algorithm: Algorithm, quotas: Vec<Quota>) -> Result<Self> {
        Plan::new(algorithm, quotas).map(Self)
    }

    /// The update that spends a cost, looks for 0, and gives back for less.
    #[must_use]
    pub fn update(&self, cost: i64) -> Update {
        self.0.update(action(cost)).into_owned()
    }

    /// The update that looks whether a cost fits. What its reply says is what it would say if the cost were spent, but for what is
    /// left.
    #[must_use]
    pub fn look(&self, cost: u64) -> Update {
        self.0.update(Action::Peek(cost)).into_owned()
    }

    /// What the reply to it says.
    ///
    /// # Errors
    /// If the record is somebody else's, or the reply has another shape.
    pub fn decision(&self, cost: i64, reply: &Reply) -> Result<Decision> {
        self.0.decision(action(cost), reply)
    }
}

/// The update that forgets an identity.
#[must_use]
pub fn reset() -> Update {
    Update::new(&reset::SCRIPT)
}

const fn action(cost: i64) -> Action {
    match cost {
        0 => Action::Peek(0),
        1.. => Action::Spend(cost.unsigned_abs()),
        _ => Action::Refund(cost.unsigned_abs()),
    }
}
