//! What the clones of a layer have in common, and what they do with a request.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use larder_rate_limit::{Decision, ErrorKind, RateLimiter};

use crate::{
    KeyExtractor, MissingKey, Refusal, grpc,
    headers::{Fields, Headers},
};

pub(crate) type Cost = dyn Fn(&Parts) -> u64 + Send + Sync;
pub(crate) type OnRefusal =
    dyn Fn(&Refusal, &Parts, Response<Bytes>) -> Response<Bytes> + Send + Sync;

pub(crate) struct Settings {
    pub(crate) limiter: RateLimiter<str>,
    pub(crate) key: Arc<dyn KeyExtractor>,
    pub(crate) cost: Option<Arc<Cost>>,
    pub(crate) missing_key: MissingKey,
    pub(crate) headers: Headers,
    pub(crate) error_status: StatusCode,
    pub(crate) on_refusal: Option<Arc<OnRefusal>>,
}

/// What is to be done with a request, as far as is known without the store.
pub(crate) enum Question {
    /// Nothing.
    Pass,
    /// It is refused.
    Refuse(Refusal),
    /// The limiter is asked.
    Ask { key: String, cost: u64 },
}

/// What became of a question.
pub(crate) enum Answer {
    Admitted(Decision, Fields),
    Refused(Refusal, Fields),
}

impl Settings {
    pub(crate) fn question(&self, request: &Parts) -> Question {
        let cost = self.cost.as_ref().map_or(1, |cost| cost(request));
        if cost == 0 {
            return Question::Pass;
        }
        let key = self.key.key(request).filter(|key| !key.is_empty());
        match (key, self.missing_key) {
            (Some(key), _) => Question::Ask { key, cost },
            // No key is empty, so that this one is nobody's.
            (None, MissingKey::Share) => Question::Ask {
                key: String::new(),
                cost,
            },
            (None, MissingKey::Allow) => Question::Pass,
            (None, MissingKey::Refuse(status)) => Question::Refuse(Refusal::MissingKey(status)),
        }
    }

    pub(crate) async fn answer(self: Arc<Self>, key: String, cost: u64) -> Answer {
        match self.limiter.check_n(&key, cost).await {
            Ok(decision) => {
                let fields = self.headers.fields(&key, &decision);
                if decision.allowed {
                    Answer::Admitted(decision, fields)
                } else {
                    Answer::Refused(Refusal::Quota(decision), fields)
                }
            }
            Err(error) if error.kind() == ErrorKind::IdentityTooLong => {
                Answer::Refused(Refusal::KeyTooLong, Fields::default())
            }
            Err(error) => Answer::Refused(Refusal::Limiter(error), Fields::default()),
        }
    }

    pub(crate) fn refuse(
        &self,
        refusal: &Refusal,
        fields: Fields,
        request: &Parts,
    ) -> Response<Bytes> {
        let mut response = match grpc::content_type(request) {
            Some(content_type) => grpc::response(refusal, content_type),
            None => self.http_response(refusal),
        };
        fields.add_to(response.headers_mut());
        match &self.on_refusal {
            Some(on_refusal) => on_refusal(refusal, request, response),
            None => response,
        }
    }

    fn http_response(&self, refusal: &Refusal) -> Response<Bytes> {
        let violated = match refusal {
            Refusal::Quota(decision) => self.headers.violated(decision).collect(),
            _ => Vec::new(),
        };
        refusal.response(refusal.status(self.error_status), violated)
    }
}
