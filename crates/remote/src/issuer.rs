//! The authentication server: its metadata, and bounded requests to it.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use countersign_client::{ClientError, Metadata, Request, Response, Transport};
use countersign_guard::ports::PortUnavailable;
use countersign_protocol::{
    AccountId, ClientNetwork,
    shares::{Place, Shares},
};
use http::{HeaderMap, Method, StatusCode};
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many requests of the upkeep may be under way at once. These places are for the upkeep alone.
const UPKEEP: usize = 8;
/// How many requests may be under way at once for all clients whose network or account is known,
/// and for one such client.
const KNOWN: (usize, usize) = (64, 8);
/// How many requests may be under way at once for all other clients together.
const UNKNOWN: usize = 32;

/// The issuer, by its identifier.
pub(crate) struct Issuer {
    identifier: String,
    transport: Transport,
    /// Its metadata, once they have been read.
    metadata: ArcSwapOption<Metadata>,
    upkeep: Semaphore,
    known: Arc<Shares<Owner>>,
    unknown: Semaphore,
}

/// On whose behalf the issuer is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// The guard itself, for data that all requests need.
    Upkeep,
    /// An account that has proven itself.
    Account(AccountId),
    /// A client that has proven nothing, with its network if that is known.
    Stranger(Option<ClientNetwork>),
}

/// Who has a share of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Account(AccountId),
    Network(ClientNetwork),
}

/// The place of a request that is under way.
#[expect(dead_code, reason = "held until the answer is there")]
enum Under<'a> {
    Permit(SemaphorePermit<'a>),
    Share(Place<Owner>),
}

/// Why the issuer gave no usable answer.
#[derive(Debug, Error)]
pub(crate) enum AskError {
    /// There was no answer, or one that breaks the limits.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It answered with another status than was asked for.
    #[error("{url} answered {status}")]
    Status { url: String, status: StatusCode },
    /// Its answer is not of the expected form.
    #[error("{url} answered {what}")]
    Unusable { url: String, what: String },
    /// It was asked the same a moment ago.
    #[error("the issuer was asked for its keys a moment ago")]
    TooSoon,
    /// Too many requests are under way already.
    #[error("too many requests to the issuer are under way")]
    Busy,
}

impl AskError {
    /// Whether the issuer itself has answered. An issuer that says it cannot answer is reachable;
    /// an error from a gateway that does not reach it is no answer.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Self::Client(error) => {
                !matches!(error, ClientError::Timeout { .. } | ClientError::Unreachable { .. })
            }
            Self::Status { status, .. } => {
                !matches!(*status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
            }
            Self::Unusable { .. } => true,
            Self::TooSoon | Self::Busy => false,
        }
    }
}

impl From<AskError> for PortUnavailable {
    fn from(error: AskError) -> Self {
        Self::Away(error.to_string())
    }
}

impl Issuer {
    pub(crate) fn new(identifier: String, transport: Transport) -> Self {
        Self {
            identifier,
            transport,
            metadata: ArcSwapOption::empty(),
            upkeep: Semaphore::new(UPKEEP),
            known: Arc::new(Shares::new(KNOWN.0, KNOWN.1)),
            unknown: Semaphore::new(UNKNOWN),
        }
    }

    pub(crate) fn identifier(&self) -> &str {
        &self.identifier
    }

    /// The issuer's metadata, which are read once.
    pub(crate) async fn metadata(&self, cause: Cause) -> Result<Arc<Metadata>, AskError> {
        if let Some(known) = self.metadata.load_full() {
            return Ok(known);
        }
        let _place = self.take_place(cause)?;
        let found = Arc::new(Metadata::fetch(&self.transport, &self.identifier).await?);
        self.metadata.store(Some(Arc::clone(&found)));
        Ok(found)
    }

    /// The address of a part of the issuer's own API.
    pub(crate) fn api(&self, path: &str) -> String {
        format!("{}{path}", self.identifier.trim_end_matches('/'))
    }

    /// GETs a resource that must exist.
    pub(crate) async fn get(&self, url: &str, cause: Cause) -> Result<Response, AskError> {
        let response = self.send(Request::new(Method::GET, url), cause).await?;
        match response.status {
            StatusCode::OK => Ok(response),
            status => Err(AskError::Status { url: url.to_owned(), status }),
        }
    }

    /// Sends a request, whatever the status of the answer.
    pub(crate) async fn send(&self, request: Request, cause: Cause) -> Result<Response, AskError> {
        let _place = self.take_place(cause)?;
        Ok(self.transport.send(request).await?)
    }

    /// A place among the requests under way, taken before anything is sent.
    fn take_place(&self, cause: Cause) -> Result<Under<'_>, AskError> {
        let owner = match cause {
            Cause::Account(account) => Owner::Account(account),
            Cause::Stranger(Some(network)) => Owner::Network(network),
            Cause::Upkeep => return permit(&self.upkeep),
            Cause::Stranger(None) => return permit(&self.unknown),
        };
        self.known.take(owner).map(Under::Share).map_err(|_| AskError::Busy)
    }
}

fn permit(semaphore: &Semaphore) -> Result<Under<'_>, AskError> {
    semaphore.try_acquire().map(Under::Permit).map_err(|_| AskError::Busy)
}

/// The error for an answer of `url` that cannot be used because it is `what`.
pub(crate) fn unusable(url: &str, what: &impl ToString) -> AskError {
    AskError::Unusable { url: url.to_owned(), what: what.to_string() }
}

/// For how long `headers` let an answer be kept (RFC 9111 §5.2.2.1).
pub(crate) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let fields = headers.get_all(http::header::CACHE_CONTROL).iter();
    let mut directives = fields.filter_map(|field| field.to_str().ok()).flat_map(|f| f.split(','));
    let seconds = directives.find_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then_some(value)
    })?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use countersign_client::TransportOptions;
    use http::{HeaderValue, header::CACHE_CONTROL};

    use super::*;

    fn issuer() -> Issuer {
        let transport = Transport::new(TransportOptions::default()).unwrap();
        Issuer::new("https://auth.example".to_owned(), transport)
    }

    fn network(address: &str) -> Cause {
        Cause::Stranger(Some(address.parse::<std::net::IpAddr>().unwrap().into()))
    }

    #[test]
    fn strangers_take_no_place_of_the_upkeep_nor_of_each_other() {
        let issuer = issuer();
        let mut held = Vec::new();
        while let Ok(place) = issuer.take_place(Cause::Stranger(None)) {
            held.push(place);
        }
        assert_eq!(held.len(), UNKNOWN);
        for _ in 0..KNOWN.1 {
            held.push(issuer.take_place(network("192.0.2.1")).unwrap());
        }
        assert!(issuer.take_place(network("192.0.2.1")).is_err(), "its share is used up");
        assert!(issuer.take_place(network("192.0.2.2")).is_ok());
        assert!(issuer.take_place(Cause::Account(AccountId::from_bytes([1; 16]))).is_ok());
        assert!(issuer.take_place(Cause::Upkeep).is_ok());
    }

    #[test]
    fn an_issuer_that_says_it_cannot_answer_has_answered_and_a_gateway_is_not_the_issuer() {
        let status = |status| AskError::Status { url: String::new(), status };
        assert!(status(StatusCode::SERVICE_UNAVAILABLE).is_answer());
        assert!(status(StatusCode::TOO_MANY_REQUESTS).is_answer());
        assert!(unusable("", &"nonsense").is_answer());
        assert!(!status(StatusCode::BAD_GATEWAY).is_answer());
        let away = ClientError::Unreachable { origin: String::new(), reason: String::new() };
        assert!(!AskError::Client(away).is_answer());
        assert!(!AskError::Busy.is_answer());
    }

    #[test]
    fn the_age_is_read_from_among_other_directives() {
        let mut headers = HeaderMap::new();
        assert_eq!(max_age(&headers), None);
        for (field, seconds) in [
            ("public, max-age=300", Some(300)),
            ("max-age=0", Some(0)),
            ("Public, Max-Age=7", Some(7)),
            ("no-store", None),
            ("max-age=x", None),
        ] {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(field));
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{field}");
        }
    }
}
