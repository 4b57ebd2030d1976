//! The layer.

use std::{fmt, sync::Arc};

use larder_rate_limit::RateLimiter;
use tower_layer::Layer;

use crate::{KeyExtractor, RateLimit, RateLimitLayerBuilder, Result, settings::Settings};

/// Puts a [`RateLimit`] around services. Cloning gives another handle on the same limiter.
#[derive(Clone)]
pub struct RateLimitLayer {
    settings: Arc<Settings>,
}

impl RateLimitLayer {
    /// A layer with the default settings.
    ///
    /// # Errors
    /// As [`RateLimitLayerBuilder::build`].
    pub fn new(limiter: RateLimiter<str>, key: impl KeyExtractor) -> Result<Self> {
        Self::builder(limiter, key).build()
    }

    /// Settings of a layer that asks this limiter, with keys from this extractor.
    pub fn builder(limiter: RateLimiter<str>, key: impl KeyExtractor) -> RateLimitLayerBuilder {
        RateLimitLayerBuilder::new(limiter, key)
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
        }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit::new(inner, Arc::clone(&self.settings))
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limiter", &self.settings.limiter)
            .finish_non_exhaustive()
    }
}
