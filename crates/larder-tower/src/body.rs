//! The body of a response, whoever gave it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The inner service's body, untouched with its trailers, or the layer's own.
    #[derive(Debug)]
    pub struct RateLimitBody<B> {
        #[pin]
        from: From<B>,
    }
}

pin_project! {
    #[project = FromProjection]
    #[derive(Debug)]
    enum From<B> {
        Inner { #[pin] body: B },
        Layer { bytes: Option<Bytes> },
    }
}

impl<B> RateLimitBody<B> {
    pub(crate) const fn inner(body: B) -> Self {
        Self {
            from: From::Inner { body },
        }
    }

    pub(crate) fn own(bytes: Bytes) -> Self {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self {
            from: From::Layer { bytes },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for RateLimitBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().from.project() {
            FromProjection::Inner { body } => body.poll_frame(context),
            FromProjection::Layer { bytes } => Poll::Ready(bytes.take().map(Frame::data).map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.from {
            From::Inner { body } => body.is_end_stream(),
            From::Layer { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.from {
            From::Inner { body } => body.size_hint(),
            From::Layer { bytes } => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(length as u64)
            }
        }
    }
}
