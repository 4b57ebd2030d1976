//! The fields that tell a client of its quotas.

mod fields;
mod legacy;
mod policy;
mod structured;
mod until_more;

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use larder_rate_limit::{Algorithm, Decision, RateLimiter};

use crate::Result;
use legacy::Legacy;
use policy::{names, policy};
use structured::{Binary, Integer, Item, list};
use until_more::until_more;

pub(crate) use fields::Fields;

/// How quotas are told to clients. The draft still moves, so that the syntax has a version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderFormat {
    /// `RateLimit-Policy: "burst";q=100;w=60` and `RateLimit: "burst";r=50;t=30`, as of
    /// [draft-ietf-httpapi-ratelimit-headers-10](https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-10.html);
    /// draft 11 writes them alike.
    ///
    /// - `q` and `w` are the quota's limit and period; no `w` where the period is no whole number of seconds. A quota with a
    ///   burst of another size has it in `larder-burst`.
    /// - `r` is how much would be admitted right now.
    /// - `t` is in how many seconds, rounded up, there will be more: of a quota that refused, enough for this request. None
    ///   where nothing was spent, where enough will never be there, and for quotas that would have admitted a request that another
    ///   refused, since `Retry-After` should not be earlier. Of a sliding window it is the time until all
    ///   is there again, which is the most it can be.
    #[default]
    Draft10,
    /// Neither field.
    None,
}

pub(crate) type PartitionKey = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// Writes the fields of one limiter's decisions.
pub(crate) struct Headers {
    names: Box<[String]>,
    policy: Option<HeaderValue>,
    algorithm: Algorithm,
    format: HeaderFormat,
    legacy: bool,
    partition_key: Option<Arc<PartitionKey>>,
}

/// What of the fields can be chosen.
#[derive(Clone, Default)]
pub(crate) struct HeaderOptions {
    pub(crate) format: HeaderFormat,
    pub(crate) legacy: bool,
    pub(crate) unit: Option<String>,
    pub(crate) partition_key: Option<Arc<PartitionKey>>,
}

impl Headers {
    pub(crate) fn new(limiter: &RateLimiter<str>, options: HeaderOptions) -> Result<Self> {
        let names = names(limiter.quotas())?;
        let policy = match options.format {
            HeaderFormat::Draft10 => {
                Some(policy(&names, limiter.quotas(), options.unit.as_deref())?)
            }
            HeaderFormat::None => None,
        };
        Ok(Self {
            names,
            policy,
            algorithm: limiter.algorithm(),
            format: options.format,
            legacy: options.legacy,
            partition_key: options.partition_key,
        })
    }

    /// The policies that refused, by name.
    pub(crate) fn violated<'a>(&'a self, decision: &'a Decision) -> impl Iterator<Item = &'a str> {
        let name = |place: &usize| self.names.get(*place).map(String::as_str);
        decision.violated.iter().filter_map(name)
    }

    /// The fields of a decision; none if nothing is known, since the store is down.
    pub(crate) fn fields(&self, key: &str, decision: &Decision) -> Fields {
        if decision.limits().len() == 0 {
            return Fields::default();
        }
        Fields {
            policy: self.policy.clone(),
            limits: match self.format {
                HeaderFormat::Draft10 => self.limits(key, decision),
                HeaderFormat::None => None,
            },
            legacy: self.legacy.then(|| Legacy::new(decision)),
        }
    }

    fn limits(&self, key: &str, decision: &Decision) -> Option<HeaderValue> {
        let partition = self.partition_key.as_ref().map(|partition| partition(key));
        let limits = decision.quotas().iter().zip(decision.limits());
        let items = self.names.iter().zip(limits).map(|(name, (quota, limit))| {
            // `Retry-After` is the time of those that refused, and should not be before any other.
            let told = decision.allowed || limit.violated;
            let time = told
                .then(|| until_more(self.algorithm, quota, &limit))
                .flatten();
            Item::new(name)
                .with("r", Integer(limit.remaining))
                .with_some("t", time.map(|time| Integer(whole_seconds(time))))
                .with_some("pk", partition.as_deref().map(Binary))
        });
        list(items)
    }
}

/// Rounded up, so that nobody comes too early: 0.2 s is 1.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
