//! A request's body that fails when the peer stops sending it, and an answer's body that tells when the peer takes it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use crate::activity::Answer;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body was not sent in time")]
    Stalled,
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

pub(crate) struct TimedBody {
    incoming: Incoming,
    patience: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl TimedBody {
    pub(crate) fn new(incoming: Incoming, patience: Duration) -> Self {
        Self { incoming, patience, sleep: None }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            self.sleep = None;
            return Poll::Ready(frame.map(|result| result.map_err(BodyError::from)));
        }
        let patience = self.patience;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Stalled))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Bytes of an answer handed over at a time: small enough that a slow peer is seen to move.
const PIECE_BYTES: usize = 64 * 1024;

/// An answer's body, in pieces, counted while it is on its way.
pub(crate) struct CountedBody {
    body: axum::body::Body,
    /// What is left of a frame that was longer than a piece.
    rest: Bytes,
    answer: Answer,
}

impl CountedBody {
    pub(crate) fn new(body: axum::body::Body, answer: Answer) -> Self {
        Self { body, rest: Bytes::new(), answer }
    }
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else { return Poll::Pending };
            self.answer.moved();
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) if bytes.len() > PIECE_BYTES => self.rest = bytes,
                Some(Ok(Ok(bytes))) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        self.answer.moved();
        let piece = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, inner) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
