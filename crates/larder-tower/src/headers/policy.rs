//! The policies that a limiter's quotas are.

use http::HeaderValue;
use larder_rate_limit::Quota;

use super::{
    list, push,
    structured::{Integer, Text},
};
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
        if Text::new(name).is_none() {
            return Err(policy_name(
                "a quota's name has printable ASCII and is not empty",
            ));
        }
        if names[..place].contains(name) {
            return Err(policy_name("two quotas of a limiter have the same name"));
        }
    }
    Ok(names.into())
}

fn policy_name(message: &'static str) -> Error {
    Error::new(ErrorKind::PolicyName, message)
}

/// `RateLimit-Policy`, the same in every response.
pub(super) fn policy(
    names: &[String],
    quotas: &[Quota],
    unit: Option<&str>,
) -> Result<HeaderValue> {
    let no_unit = || Error::new(ErrorKind::QuotaUnit, "a quota unit has printable ASCII");
    let unit = match unit {
        Some(unit) => Some(Text::new(unit).ok_or_else(no_unit)?),
        None => None,
    };
    let items = names.iter().zip(quotas).filter_map(|(name, quota)| {
        let mut item = format!("{};q={}", Text::new(name)?, Integer(quota.limit()));
        if let Some(unit) = &unit {
            push(&mut item, format_args!(";qu={unit}"));
        }
        if quota.period().subsec_nanos() == 0 {
            push(
                &mut item,
                format_args!(";w={}", Integer(quota.period().as_secs())),
            );
        }
        if quota.capacity() != quota.limit() {
            push(
                &mut item,
                format_args!(";larder-burst={}", Integer(quota.capacity())),
            );
        }
        Some(item)
    });
    list(items).ok_or_else(|| policy_name("a limiter has a quota"))
}
