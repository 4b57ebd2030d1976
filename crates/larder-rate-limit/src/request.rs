//! What is asked.

use std::sync::Arc;

use larder_store::Key;

use crate::shared::Plans;

/// A request to spend: those of one identity that cost the same under the same quotas differ in nothing else than who makes them.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) key: &'a Key,
    /// Of the key, for the table of identities.
    pub(crate) hash: u64,
    pub(crate) cost: u64,
    pub(crate) plans: &'a Arc<Plans>,
}

impl Request<'_> {
    /// Whether these are the cost and the plans of this request.
    pub(crate) fn asks(&self, cost: u64, plans: u64) -> bool {
        self.cost == cost && self.plans.id == plans
    }
}
