//! Limits of requests: their size, their time, and how many may be under way.

use std::{fmt::Display, hash::Hash, panic::resume_unwind, pin::pin, sync::Arc, time::Duration};

use axum::body::{Body, Bytes, HttpBody};
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, header::TRANSFER_ENCODING},
    response::Response,
};
use countersign_protocol::{
    AccountId, ClientNetwork,
    shares::{NoPlace, Place, Shares},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{sleep, timeout};

use crate::{
    http::problem::{Problem, ProblemType},
    layers::{access_log::Line, around::Handler},
};

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
    /// The largest body where larger ones may be sent, in bytes, such as an online keyring. No more than
    /// 2 MiB either. Such a body must say how long it is.
    pub large_body_bytes: usize,
    /// How many bodies larger than `body_bytes` may be arriving at once.
    pub large_uploads: usize,
    /// How many of those one account may have, for its keys and as many for what needs a passkey, and how many the
    /// young accounts of one client network.
    pub large_uploads_each: usize,
    /// How many bodies may be arriving at once, over all connections. Memory holds no more than
    /// that many times `body_bytes` of them.
    pub uploads: usize,
    /// How many of those one client network may have.
    pub uploads_each: usize,
    /// How many requests may be worked on at once, over all connections.
    pub concurrency: usize,
    /// How many of those one client network may have.
    pub concurrency_each: usize,
    /// How many bytes of answers may wait for their clients to fetch them, over all connections.
    pub answer_bytes: usize,
    /// How many of those one client network may leave waiting.
    pub answer_bytes_each: usize,
    /// What `Retry-After` says to those beyond that, in whole seconds.
    pub retry_after: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes: 64 * 1024,
            large_body_bytes: 2 * 1024 * 1024,
            large_uploads: 64,
            large_uploads_each: 4,
            body_grace: Duration::from_secs(5),
            body_bytes_per_second: 2048,
            time: Duration::from_secs(30),
            uploads: 4096,
            uploads_each: 204,
            concurrency: 2048,
            concurrency_each: 102,
            answer_bytes: 128 * 1024 * 1024,
            answer_bytes_each: 6 * 1024 * 1024,
            retry_after: Duration::from_secs(1),
        }
    }
}

/// How large a body says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodySize {
    /// No larger than bodies are everywhere, or it does not say.
    Usual,
    /// Larger.
    Large,
}

/// Who sends a large body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uploader {
    /// Whose principal it is.
    pub(crate) account: AccountId,
    /// By what it was proven.
    pub(crate) signer: Signer,
    /// The client network, where that answers for the account too.
    pub(crate) network: Option<ClientNetwork>,
}

/// By what a request of an account was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Signer {
    /// A key of the account, by a proof and a token that allow what keys may do.
    OwnKey,
    /// Another one, such as that of a session: it takes no place of the account's keys.
    OtherKey,
}

/// The limits, and how much of them is taken. They hold for all requests that pass this gate
/// together.
pub(crate) struct Gate {
    limits: RequestLimits,
    uploads: Arc<Shares<ClientNetwork>>,
    large_uploads: Arc<Shares<ClientNetwork>>,
    large_uploads_of_accounts: Arc<Shares<(AccountId, Signer)>>,
    places: Arc<Shares<ClientNetwork>>,
}

/// A body whose declared length is too large is refused without reading it.
fn check_declared(body: &Body, max_bytes: usize) -> Result<(), Problem> {
    let fits = usize::try_from(body.size_hint().lower()).is_ok_and(|least| least <= max_bytes);
    fits.then_some(()).ok_or_else(|| too_large(max_bytes))
}

/// Hyper undoes `chunked` and would hand over what is coded in another manner too as if it were the body
/// (RFC 9112 §6.1).
fn check_transfer_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_known = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    let detail = "the only transfer coding that is read here is chunked";
    let unknown = || Problem::new(ProblemType::UnknownTransferCoding).detail(detail);
    codings.all(is_known).then_some(()).ok_or_else(unknown)
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
            large_uploads: Arc::new(Shares::new(limits.large_uploads, limits.large_uploads_each)),
            large_uploads_of_accounts: Arc::new(Shares::new(
                limits.large_uploads,
                limits.large_uploads_each,
            )),
            places: Arc::new(Shares::new(limits.concurrency, limits.concurrency_each)),
        }
    }

    /// `request` with its whole body in memory, which has the usual size.
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
        let _upload = self.place(&self.uploads, client, (&client, "bodies arriving"))?;
        self.read(request, self.limits.body_bytes).await
    }

    /// The same for a [large](BodySize::Large) body, once it is known who sends it. A body that arrives
    /// beside too many others of its account is refused with 429 too.
    ///
    /// # Errors
    /// With the limit that was met.
    pub(crate) async fn receive_large(
        &self,
        request: Request,
        Uploader { account, signer, network }: Uploader,
    ) -> Result<Request, Problem> {
        const WHAT: &str = "large bodies arriving";
        let accounts = &self.large_uploads_of_accounts;
        let _of_account = self.place(accounts, (account, signer), (&"this account", WHAT))?;
        let of_client =
            network.map(|client| self.place(&self.large_uploads, client, (&client, WHAT)));
        let _of_client = of_client.transpose()?;
        self.read(request, self.large_body_bytes()).await
    }

    /// How large `body` is, for a resource that takes large ones.
    ///
    /// # Errors
    /// When it is larger than those may be.
    pub(crate) fn size_of(&self, body: &Body) -> Result<BodySize, Problem> {
        check_declared(body, self.large_body_bytes())?;
        let is_usual = check_declared(body, self.limits.body_bytes).is_ok();
        Ok(if is_usual { BodySize::Usual } else { BodySize::Large })
    }

    fn large_body_bytes(&self) -> usize {
        self.limits.large_body_bytes.max(self.limits.body_bytes)
    }

    async fn read(&self, request: Request, max_bytes: usize) -> Result<Request, Problem> {
        let (parts, body) = request.into_parts();
        check_transfer_coding(&parts.headers)?;
        check_declared(&body, max_bytes)?;
        let bytes = self.read_in_time(body, max_bytes).await?;
        Ok(Request::from_parts(parts, Body::from(bytes)))
    }

    /// Reads a body for as long as it arrives fast enough: each byte gives the rest more time.
    async fn read_in_time(&self, body: Body, max_bytes: usize) -> Result<Bytes, Problem> {
        let RequestLimits { body_grace, body_bytes_per_second, .. } = self.limits;
        let mut body = Limited::new(body, max_bytes);
        let mut read = Vec::new();
        let mut deadline = pin!(sleep(body_grace));
        loop {
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = &mut deadline => return Err(too_slow(body_bytes_per_second)),
            };
            let Some(frame) = frame else { return Ok(read.into()) };
            let frame = frame.map_err(|error| broken(&*error, max_bytes))?;
            let Ok(data) = frame.into_data() else { continue };
            read.extend_from_slice(&data);
            let arrived = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let longer = Duration::from_secs(1) * arrived / body_bytes_per_second.max(1);
            let later = deadline.deadline() + longer;
            deadline.as_mut().reset(later);
        }
    }

    /// The answer of `inner` to `request`, whose body is there, within the limits.
    ///
    /// # Errors
    /// With the limit that was met.
    pub(crate) async fn answer(
        &self,
        mut inner: impl Handler,
        client: ClientNetwork,
        request: Request,
    ) -> Result<Response, Problem> {
        if request.method().is_safe() {
            let work = async move { inner.call(request).await.map_err(|never| match never {}) };
            return self.admit(client, work).await;
        }
        let line = request.extensions().get::<Line>().cloned();
        let work = async move {
            let Ok(answer) = inner.call(request).await;
            // Perhaps nobody else gets the answer to see.
            if let Some(line) = line {
                line.learn(&answer);
            }
            Ok(answer)
        };
        self.admit_to_the_end(client, work).await
    }

    /// Does `work`, within the limits.
    ///
    /// A request beyond the numbers is refused at once rather than queued, with 429 where its client
    /// has too many and with 503 where all clients together do; one that takes too long gets 503 as
    /// well. No body is received here, so clients that send slowly keep nobody waiting. The work ends
    /// where it stands when the client leaves or the time is over, so it must not change anything.
    ///
    /// Endpoints that must answer even then (liveness) do not pass here.
    ///
    /// # Errors
    /// With the limit that was met, or the problem of `work`.
    pub(crate) async fn admit<T>(
        &self,
        client: ClientNetwork,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let _place = self.place(&self.places, client, (&client, "requests under way"))?;
        timeout(self.limits.time, work).await.map_err(|_| self.took_too_long())?
    }

    /// The same for what a client may not break off. What a change does in the store and what memory
    /// then knows of it belong together, so the work goes on to its end, and keeps its place until
    /// then, when the client leaves or hears that it took too long.
    ///
    /// # Errors
    /// With the limit that was met, or the problem of `work`.
    pub(crate) async fn admit_to_the_end<T: Send + 'static>(
        &self,
        client: ClientNetwork,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.place(&self.places, client, (&client, "requests under way"))?;
        let work = tokio::spawn(async move {
            let done = work.await;
            drop(place);
            done
        });
        match timeout(self.limits.time, work).await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(self.took_too_long()),
            },
            Err(_) => Err(self.took_too_long()),
        }
    }

    fn took_too_long(&self) -> Problem {
        Problem::new(ProblemType::Timeout).retry_after(self.limits.retry_after)
    }

    /// A place for `owner`, whose name is `who`, among `places` for `what`.
    fn place<K: Eq + Hash + Clone>(
        &self,
        places: &Arc<Shares<K>>,
        owner: K,
        (who, what): (&dyn Display, &'static str),
    ) -> Result<Place<K>, Problem> {
        places.take(owner).map_err(|none| {
            let share = format!("{who} has {} {what}, which is its whole share", places.each());
            no_place(none, &share).retry_after(self.limits.retry_after)
        })
    }
}

/// What a client hears that gets no place, because all are taken or because of its own `share`.
pub(crate) fn no_place(none: NoPlace, share: &str) -> Problem {
    match none {
        NoPlace::AllTaken => Problem::new(ProblemType::Overloaded),
        NoPlace::ShareUsedUp => Problem::new(ProblemType::RateLimited).detail(share.to_owned()),
    }
}

fn too_slow(bytes_per_second: u32) -> Problem {
    let detail = format!("a body arrives with at least {bytes_per_second} bytes a second here");
    Problem::new(ProblemType::RequestTimeout).detail(detail)
}
