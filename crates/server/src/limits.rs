//! What one request may cost, and how many may be under way: sizes, times, numbers.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::problem::{Problem, ProblemType};

#[cfg(test)]
mod tests;

/// The limits of requests. The defaults are far above what honest use needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The largest body, in bytes. No more than 2 MiB, which is what axum's extractors take.
    pub body_bytes: usize,
    /// The longest that a body may take to arrive.
    pub body_time: Duration,
    /// The longest that the rest of the work may take.
    pub time: Duration,
    /// How many bodies may be arriving at once, over all connections. Memory holds no more than
    /// that many times `body_bytes` of them.
    pub uploads: usize,
    /// How many requests may be worked on at once, over all connections.
    pub concurrency: usize,
    /// What `Retry-After` says to those beyond that, in whole seconds.
    pub retry_after: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes: 64 * 1024,
            body_time: Duration::from_secs(10),
            time: Duration::from_secs(30),
            uploads: 4096,
            concurrency: 1024,
            retry_after: Duration::from_secs(1),
        }
    }
}

/// Where requests wait to be let in: the limits, and what is taken of them. They hold for all
/// requests that pass it together.
pub struct Gate {
    limits: RequestLimits,
    uploads: Semaphore,
    places: Semaphore,
}

/// Reads a whole body of at most `max_bytes`.
///
/// # Errors
///
/// `payload-too-large`, and `invalid-request` when the body ends early.
pub async fn read_body(body: Body, max_bytes: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("a body has at most {max_bytes} bytes here");
        Problem::new(ProblemType::PayloadTooLarge).detail(detail)
    };
    if usize::try_from(body.size_hint().lower()).map_or(true, |least| least > max_bytes) {
        return Err(too_large());
    }
    match Limited::new(body, max_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Problem::new(ProblemType::InvalidRequest).detail("the body is not complete")),
    }
}

impl Gate {
    /// A gate with these limits that nobody has passed yet.
    pub fn new(limits: &RequestLimits) -> Self {
        Self {
            limits: limits.clone(),
            uploads: Semaphore::new(limits.uploads),
            places: Semaphore::new(limits.concurrency),
        }
    }

    /// `request` with its whole body in memory.
    ///
    /// A body that is too large is refused with 413, before it is read where its length is declared;
    /// one that arrives too slowly with 408, and one that arrives beside too many others with 503.
    ///
    /// # Errors
    /// With the limit that was met.
    pub async fn receive(&self, request: Request) -> Result<Request, Problem> {
        let _upload = self.uploads.try_acquire().map_err(|_| self.overloaded())?;
        let (parts, body) = request.into_parts();
        let arriving = read_body(body, self.limits.body_bytes);
        let bytes = timeout(self.limits.body_time, arriving)
            .await
            .map_err(|_| Problem::new(ProblemType::RequestTimeout))??;
        Ok(Request::from_parts(parts, Body::from(bytes)))
    }

    /// Does `work`, within the limits.
    ///
    /// A request beyond the numbers is refused at once with 503 rather than queued; one that takes
    /// too long gets 503 as well. A request comes here only with its whole body, so clients that
    /// send slowly keep nobody waiting.
    ///
    /// What must answer even then (liveness) does not pass here.
    ///
    /// # Errors
    /// With the limit that was met, or the problem of `work`.
    pub async fn admit(
        &self,
        work: impl Future<Output = Result<Response, Problem>>,
    ) -> Result<Response, Problem> {
        let _place = self.places.try_acquire().map_err(|_| self.overloaded())?;
        let answered = timeout(self.limits.time, work).await;
        answered
            .map_err(|_| Problem::new(ProblemType::Timeout).retry_after(self.limits.retry_after))?
    }

    fn overloaded(&self) -> Problem {
        Problem::new(ProblemType::Overloaded).retry_after(self.limits.retry_after)
    }
}
