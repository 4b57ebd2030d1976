//! The policies that a limiter's quotas are.

use std::borrow::Cow;

use http::HeaderValue;
use larder_rate_limit::Quota;

use super::structured::{Integer, Item, Text, is_text, list};
use crate::{Error, ErrorKind, Result};

/// The names of quotas, given or by their place.
pub(super) fn names(quotas: &[Quota]) -> Result<Box<[String]>> {
    let name = |(place, quota): (usize, &Quota)| match quota.name() {
        Some(name) => name.to_owned(),
        None if quotas.len() == 1 => "default".to_owned(),
        None => format!("default-{}", place + 1),
    };
    let names: Vec<_> = quotas.iter().enumerate().map(name).collect();
    for (place, name) in names.iter().enumerate() {
        if !is_text(name) {
            return Err(policy_name(format!(
                "a quota's name is printable ASCII and not empty: {name:?}"
            )));
        }
        if names[..place].contains(name) {
            return Err(policy_name(format!(
                "two quotas of a limiter are called {name:?}, as one without a name may be"
            )));
        }
    }
    Ok(names.into())
}

fn policy_name(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::PolicyName, message)
}

/// `RateLimit-Policy`, the same in every response.
pub(super) fn policy(
    names: &[String],
    quotas: &[Quota],
    unit: Option<&str>,
) -> Result<HeaderValue> {
    if unit.is_some_and(|unit| !is_text(unit)) {
        let message = "a quota unit has printable ASCII and is not empty";
        return Err(Error::new(ErrorKind::QuotaUnit, message));
    }
    let items = names.iter().zip(quotas).map(|(name, quota)| {
        let seconds = Some(quota.period()).filter(|period| period.subsec_nanos() == 0);
        let burst = Some(quota.capacity()).filter(|burst| *burst != quota.limit());
        Item::new(name)
            .with("q", Integer(quota.limit()))
            .with_some("qu", unit.map(Text))
            .with_some("w", seconds.map(|period| Integer(period.as_secs())))
            .with_some("larder-burst", burst.map(Integer))
    });
    list(items).ok_or_else(|| policy_name("a quota's name can't be in a field"))
}
