//! Limits of requests: their size, their time, and how many may be under way.

use std::{pin::pin, sync::Arc, time::Duration};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use countersign_protocol::{
    ClientNetwork,
    shares::{NoPlace, Place, Shares},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{sleep, timeout};

use crate::http::problem::{Problem, ProblemType};

#[cfg(test)]
mod tests;

/// The limits of requests. The defaults are far above what honest use needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The largest body, in bytes. No more than 2 MiB, which is what axum's extractors take.
    pub body_bytes: usize,
    /// How long a body may take to begin to arrive.
    pub body_grace: Duration,
    /// How fast it must arrive then: each time this many bytes arrive, it gets one more second. At
    /// least one.
    pub body_bytes_per_second: u32,
    /// The longest that the rest of the work may take.
    pub time: Duration,
    /// How many bodies may be arriving at once, over all connections. Memory holds no more than
    /// that many times `body_bytes` of them.
    pub uploads: usize,
    /// How many of those one client network may have.
    pub uploads_each: usize,
    /// How many requests may be worked on at once, over all connections.
    pub concurrency: usize,
    /// How many of those one client network may have.
    pub concurrency_each: usize,
    /// What `Retry-After` says to those beyond that, in whole seconds.
    pub retry_after: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes: 64 * 1024,
            body_grace: Duration::from_secs(5),
            body_bytes_per_second: 2048,
            time: Duration::from_secs(30),
            uploads: 4096,
            uploads_each: 204,
            concurrency: 2048,
            concurrency_each: 102,
            retry_after: Duration::from_secs(1),
        }
    }
}

/// The limits, and how much of them is taken. They hold for all requests that pass this gate
/// together.
pub(crate) struct Gate {
    limits: RequestLimits,
    uploads: Arc<Shares<ClientNetwork>>,
    places: Arc<Shares<ClientNetwork>>,
}

/// A body whose declared length is too large is refused without reading it.
fn check_declared(body: &Body, max_bytes: usize) -> Result<(), Problem> {
    let fits = usize::try_from(body.size_hint().lower()).is_ok_and(|least| least <= max_bytes);
    fits.then_some(()).ok_or_else(|| too_large(max_bytes))
}

fn too_large(max_bytes: usize) -> Problem {
    let detail = format!("a body has at most {max_bytes} bytes here");
    Problem::new(ProblemType::PayloadTooLarge).detail(detail)
}

fn broken(error: &(dyn std::error::Error + 'static), max_bytes: usize) -> Problem {
    if error.is::<LengthLimitError>() {
        too_large(max_bytes)
    } else {
        Problem::new(ProblemType::InvalidRequest).detail("the body is not complete")
    }
}

impl Gate {
    /// A gate with these limits that nobody has passed yet.
    pub(crate) fn new(limits: &RequestLimits) -> Self {
        Self {
            limits: limits.clone(),
            uploads: Arc::new(Shares::new(limits.uploads, limits.uploads_each)),
            places: Arc::new(Shares::new(limits.concurrency, limits.concurrency_each)),
        }
    }

    /// `request` with its whole body in memory.
    ///
    /// A body that is too large is refused with 413, before it is read where its length is declared;
    /// one that arrives too slowly with 408; one that arrives beside too many others of its client
    /// with 429, and beside too many of all clients with 503.
    ///
    /// # Errors
    /// With the limit that was met.
    pub(crate) async fn receive(
        &self,
        request: Request,
        client: ClientNetwork,
    ) -> Result<Request, Problem> {
        let _upload = self.place(&self.uploads, client, "bodies arriving")?;
        let (parts, body) = request.into_parts();
        check_declared(&body, self.limits.body_bytes)?;
        let bytes = self.read_in_time(body).await?;
        Ok(Request::from_parts(parts, Body::from(bytes)))
    }

    /// Reads a body for as long as it arrives fast enough: each byte gives the rest more time.
    async fn read_in_time(&self, body: Body) -> Result<Bytes, Problem> {
        let RequestLimits { body_bytes, body_grace, body_bytes_per_second, .. } = self.limits;
        let mut body = Limited::new(body, body_bytes);
        let mut read = Vec::new();
        let mut deadline = pin!(sleep(body_grace));
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = &mut deadline => return Err(too_slow(body_bytes_per_second)),
            };
            let Some(frame) = frame else { return Ok(read.into()) };
            let frame = frame.map_err(|error| broken(&*error, body_bytes))?;
            let Ok(data) = frame.into_data() else { continue };
            read.extend_from_slice(&data);
            let arrived = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let longer = Duration::from_secs(1) * arrived / body_bytes_per_second.max(1);
            let later = deadline.deadline() + longer;
            deadline.as_mut().reset(later);
        }
    }

    /// Does `work`, within the limits.
    ///
    /// A request beyond the numbers is refused at once rather than queued, with 429 where its client
    /// has too many and with 503 where all clients together do; one that takes too long gets 503 as
    /// well. A request comes here only with its whole body, so clients that
    /// send slowly keep nobody waiting.
    ///
    /// Endpoints that must answer even then (liveness) do not pass here.
    ///
    /// # Errors
    /// With the limit that was met, or the problem of `work`.
    pub(crate) async fn admit(
        &self,
        client: ClientNetwork,
        work: impl Future<Output = Result<Response, Problem>>,
    ) -> Result<Response, Problem> {
        let _place = self.place(&self.places, client, "requests under way")?;
        let answered = timeout(self.limits.time, work).await;
        answered
            .map_err(|_| Problem::new(ProblemType::Timeout).retry_after(self.limits.retry_after))?
    }

    /// A place for `client` among `places` for `what`.
    fn place(
        &self,
        places: &Arc<Shares<ClientNetwork>>,
        client: ClientNetwork,
        what: &'static str,
    ) -> Result<Place<ClientNetwork>, Problem> {
        places.take(client).map_err(|none| {
            let problem = match none {
                NoPlace::AllTaken => Problem::new(ProblemType::Overloaded),
                NoPlace::ShareUsedUp => Problem::new(ProblemType::RateLimited).detail(format!(
                    "{client} has {} {what}, which is its whole share",
                    places.each()
                )),
            };
            problem.retry_after(self.limits.retry_after)
        })
    }
}

fn too_slow(bytes_per_second: u32) -> Problem {
    let detail = format!("a body arrives with at least {bytes_per_second} bytes a second here");
    Problem::new(ProblemType::RequestTimeout).detail(detail)
}
