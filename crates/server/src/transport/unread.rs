//! Closes connections whose last body was not read to its end.
//!
//! In HTTP/1 a request begins where the body of the one before it ends. A proxy that asks about a
//! request, without its body but with its `Content-Length`, sends no body at all: a server that
//! skipped that many bytes would go on in the middle of the next request, in text that a client
//! chose (RFC 9112 §11.2). And a server that closes a connection before it has read what arrived
//! makes the system reset it, which can take the answer away from a peer that is still sending (RFC
//! 9112 §9.6). So such a connection takes no further request. It is closed when its peer has closed
//! it too, or when that takes too long.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use http::{HeaderValue, Request, Version, header::CONNECTION};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use crate::transport::not_http::FirstBytes;

/// How long a peer may take to close a connection whose last body was not read, or to go on sending it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// Each time this many bytes of the body arrive, the peer gets one more second, so that a client behind
/// a slow line can send its body to the end and then reads the answer.
const BYTES_PER_SECOND: u32 = 16 * 1024;
/// How much it may send meanwhile, in bytes. All of it is ignored. The largest body fits, so that a
/// client that is still sending it gets the answer that refuses it.
const MOST: usize = 2 * 1024 * 1024;

/// Whether the body of the latest request in a connection of HTTP/1 was not read to its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unread(Arc<AtomicBool>);

impl Unread {
    /// `request`, which has arrived in this connection, with a body that tells when it has been read.
    pub(crate) fn watch(&self, request: Request<Incoming>) -> Request<Body> {
        if request.body().is_end_stream() {
            return request.map(|_| Body::empty());
        }
        // In HTTP/2 each request has a stream of its own.
        if request.version() > Version::HTTP_11 {
            return request.map(Body::new);
        }
        self.0.store(true, Ordering::Release);
        request.map(|body| Body::new(Watched { body, unread: self.clone() }))
    }

    /// `answer`, which is the last one of this connection if the request's body was not read.
    pub(crate) fn last_if_unread(&self, mut answer: Response) -> Response {
        if self.is_so() {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A body that tells when it has been read to its end.
struct Watched {
    body: Incoming,
    unread: Unread,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.unread.0.store(false, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that, after an unread body, still reads from its peer once its own side is closed.
/// It also keeps the first bytes that arrived.
pub(crate) struct Wire<S> {
    stream: S,
    first: FirstBytes,
    unread: Unread,
    /// What the peer may still send, once this side is closed.
    rest: Option<Rest>,
}

struct Rest {
    end: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S> Wire<S> {
    /// The connection over `stream`.
    pub(crate) const fn new(stream: S, first: FirstBytes, unread: Unread) -> Self {
        Self { stream, first, unread, rest: None }
    }
}

impl Rest {
    /// Ready when the peer has closed `stream`, has sent too much, or has taken too long.
    fn poll_over(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let mut scratch = [0; 4096];
        while self.bytes > 0 {
            let mut read = ReadBuf::new(&mut scratch);
            match Pin::new(&mut *stream).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    let arrived = read.filled().len();
                    self.bytes = self.bytes.saturating_sub(arrived);
                    let arrived = u32::try_from(arrived).unwrap_or(u32::MAX);
                    let longer = Duration::from_secs(1) * arrived / BYTES_PER_SECOND;
                    let later = self.end.deadline() + longer;
                    self.end.as_mut().reset(later);
                }
                Poll::Ready(Ok(()) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => return self.end.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.first.keep(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, unread, rest, .. } = &mut *self;
        if rest.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
            if !unread.is_so() {
                return Poll::Ready(Ok(()));
            }
        }
        let rest = rest.get_or_insert_with(|| Rest { end: Box::pin(sleep(PATIENCE)), bytes: MOST });
        rest.poll_over(stream, context).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    /// How many times a peer sends `bytes`, one second after the other, before its connection is closed,
    /// of which nobody reads anything.
    async fn times_sent(bytes: usize) -> usize {
        let (mut peer, stream) = duplex(64 * 1024);
        let unread = Unread(Arc::new(AtomicBool::new(true)));
        let mut wire = Wire::new(stream, FirstBytes::default(), unread);
        let (body, times) = (vec![0; bytes], Cell::new(0));
        let sending = async {
            while peer.write_all(&body).await.is_ok() {
                times.set(times.get() + 1);
                sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            closed = wire.shutdown() => closed.unwrap(),
            () = sending => panic!("the connection is gone before it is closed"),
        }
        times.get()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_goes_on_sending_may_finish_and_no_more() {
        for times in [10, 100] {
            let sent = times_sent(MOST / times + 1).await;
            assert!((times - 1..=times).contains(&sent), "{sent} of {times}");
        }
        assert_eq!(times_sent(1024).await, 6, "too slow for more than 5.3 seconds");
    }
}
