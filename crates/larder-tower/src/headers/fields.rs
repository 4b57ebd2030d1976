//! The fields of one response.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::legacy::Legacy;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is known of the quotas, as fields; nothing by default.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(super) policy: Option<HeaderValue>,
    pub(super) limits: Option<HeaderValue>,
    pub(super) legacy: Option<Legacy>,
}

impl Fields {
    /// Adds the two lists to those of a layer further in, as lists may come in several lines. The legacy fields can't tell of two
    /// limiters: they are left as they are.
    pub(crate) fn add_to(self, headers: &mut HeaderMap) {
        if let Some(policy) = self.policy {
            headers.append(RATELIMIT_POLICY, policy);
        }
        if let Some(limits) = self.limits {
            headers.append(RATELIMIT, limits);
        }
        if let Some(legacy) = self.legacy {
            legacy.add_to(headers);
        }
    }
}
