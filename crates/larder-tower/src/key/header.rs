//! A header field's value.

use http::{HeaderName, request::Parts};

use super::KeyExtractor;
use crate::{Error, ErrorKind, Result};

/// The key is `name:value` of a header field, the name in lower case.
///
/// A request in which the field is missing, empty, there more than once or no visible ASCII has no key.
///
/// Clients choose their header fields: this limits nobody unless something further out has checked the value. Keys are stored
/// as they are; where a value is a secret, take a closure that gives the owner's number instead.
#[derive(Debug, Clone)]
pub struct HeaderKey {
    name: HeaderName,
}

impl HeaderKey {
    /// Of the field with this name, in any case.
    ///
    /// ```
    /// use larder_tower::{HeaderKey, KeyExtractor};
    ///
    /// let by_tenant = HeaderKey::new("X-Tenant")?;
    ///
    /// let request = http::Request::builder().header("x-tenant", "acme").body(()).expect("a request");
    /// assert_eq!(by_tenant.key(&request.into_parts().0).as_deref(), Some("x-tenant:acme"));
    /// # Ok::<(), larder_tower::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::HeaderName`] if that is no name.
    pub fn new(name: impl TryInto<HeaderName>) -> Result<Self> {
        let refused = |_| {
            Error::new(
                ErrorKind::HeaderName,
                "that is not the name of a header field",
            )
        };
        let name = name.try_into().map_err(refused)?;
        Ok(Self { name })
    }
}

impl KeyExtractor for HeaderKey {
    fn key(&self, request: &Parts) -> Option<String> {
        let mut values = request.headers.get_all(&self.name).iter();
        let value = values.next()?.to_str().ok()?.trim();
        if value.is_empty() || values.next().is_some() {
            return None;
        }
        Some(format!("{}:{value}", self.name))
    }
}
