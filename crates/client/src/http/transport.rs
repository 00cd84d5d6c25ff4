//! Requests as they go out and answers as they come in, within limits.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::{AUTHORIZATION, LOCATION};
use reqwest::redirect::Policy;
use serde::de::DeserializeOwned;
use serde_json::Value;

use countersign_protocol::strict::json;

use super::error::ClientError;
use super::message::{DPOP, Message, Request, Response};
use super::refusal::Refusal;
use super::target::Target;

/// The answers of the server's own API are short.
pub(super) const MAX_API_ANSWER: usize = 1024 * 1024;

/// Limits and trust of a [`Transport`].
#[derive(Clone, Debug)]
pub struct TransportOptions {
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for a whole answer.
    pub timeout: Duration,
    /// The longest body of an answer, in bytes.
    pub max_response_bytes: usize,
    /// Certificates, in PEM, of authorities to trust besides those that the system trusts.
    pub extra_roots_pem: Option<Vec<u8>>,
}

impl Default for TransportOptions {
    /// 10 seconds for a connection, 30 for an answer of at most 16 MiB, the system's authorities.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            max_response_bytes: 16 * 1024 * 1024,
            extra_roots_pem: None,
        }
    }
}

impl Request {
    /// Scheme, host and port that it goes to.
    ///
    /// # Errors
    /// When the URL is none, or the address would get a token unencrypted.
    pub fn origin(&self) -> Result<String, ClientError> {
        Ok(Target::parse(&self.url)?.origin().to_owned())
    }

    /// Refuses header fields that say who sends the request, because this client sets them.
    pub(super) fn refuse_own_proofs(&self) -> Result<(), ClientError> {
        let reserved = [("Authorization", AUTHORIZATION), ("DPoP", DPOP)];
        match reserved.into_iter().find(|(_, name)| self.headers.contains_key(name)) {
            Some((name, _)) => Err(ClientError::ReservedHeader(name)),
            None => Ok(()),
        }
    }

    pub(super) fn into_message(self) -> Result<(Target, Message), ClientError> {
        let Self { method, url, headers, body } = self;
        Ok((Target::parse(&url)?, Message { method, headers, body }))
    }
}

/// The future of an answer.
pub type Carried<'a> = Pin<Box<dyn Future<Output = Result<Response, ClientError>> + Send + 'a>>;

/// Sends requests in place of this crate's own HTTP: for a program that has an HTTP library already.
pub trait Carrier: Send + Sync {
    /// Sends `request` as it is, once, and follows no redirect.
    fn carry(&self, request: Request) -> Carried<'_>;
}

/// Sends requests: no redirects, bounded answers, plain `http` to loopback addresses only.
///
/// The proxies that the environment names are used for `https` alone, so that nothing passes one
/// in the clear. Clones share their connections.
#[derive(Clone)]
pub struct Transport {
    options: Arc<TransportOptions>,
    carrier: Option<Arc<dyn Carrier>>,
    roots: Arc<[reqwest::Certificate]>,
    plain: Arc<OnceLock<reqwest::Client>>,
    secure: Arc<OnceLock<reqwest::Client>>,
}

impl Transport {
    /// A transport without open connections.
    ///
    /// # Errors
    /// When the extra certificates are not PEM.
    pub fn new(options: TransportOptions) -> Result<Self, ClientError> {
        let roots = match &options.extra_roots_pem {
            Some(pem) => parse_roots(pem)?,
            None => Vec::new(),
        };
        Ok(Self {
            options: Arc::new(options),
            carrier: None,
            roots: roots.into(),
            plain: Arc::default(),
            secure: Arc::default(),
        })
    }

    /// A transport whose requests `carrier` sends. What may be sent where is still decided here.
    pub fn by(carrier: Arc<dyn Carrier>) -> Self {
        Self {
            options: Arc::default(),
            carrier: Some(carrier),
            roots: Arc::default(),
            plain: Arc::default(),
            secure: Arc::default(),
        }
    }

    /// Sends `request` as it is, without a token or a proof.
    ///
    /// # Errors
    /// When there is no answer within the limits. An answer with an error status is an answer.
    pub async fn send(&self, request: Request) -> Result<Response, ClientError> {
        let (target, message) = request.into_message()?;
        self.send_to(&target, message, self.options.max_response_bytes).await
    }

    pub(super) async fn send_to(
        &self,
        target: &Target,
        message: Message,
        limit: usize,
    ) -> Result<Response, ClientError> {
        if let Some(carrier) = &self.carrier {
            let Message { method, headers, body } = message;
            let url = target.url().to_string();
            let answer = carrier.carry(Request { method, url, headers, body }).await?;
            return if answer.body.len() > limit {
                Err(too_large(target, limit))
            } else {
                Ok(answer)
            };
        }
        let mut outgoing = reqwest::Request::new(message.method, target.url().clone());
        *outgoing.headers_mut() = message.headers;
        if !message.body.is_empty() {
            *outgoing.body_mut() = Some(message.body.into());
        }
        let answer = self.client(target)?.execute(outgoing).await;
        let answer = answer.map_err(|cause| self.failure(target, &cause))?;
        self.receive(target, answer, limit).await
    }

    /// The limit for answers that the caller gets to see.
    pub(super) fn max_response_bytes(&self) -> usize {
        self.options.max_response_bytes
    }

    async fn receive(
        &self,
        target: &Target,
        mut answer: reqwest::Response,
        limit: usize,
    ) -> Result<Response, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) =
            answer.chunk().await.map_err(|cause| self.failure(target, &cause))?
        {
            if body.len() + chunk.len() > limit {
                return Err(too_large(target, limit));
            }
            body.extend_from_slice(&chunk);
        }
        let headers = std::mem::take(answer.headers_mut());
        Ok(Response { status: answer.status(), headers, body })
    }

    fn client(&self, target: &Target) -> Result<&reqwest::Client, ClientError> {
        let (cell, builder) = if target.is_plain() {
            // Plain HTTP does not need the system's certificates, which some systems lack.
            (&self.plain, reqwest::Client::builder().no_proxy().tls_certs_only([]))
        } else {
            let roots = self.roots.iter().cloned();
            (&self.secure, reqwest::Client::builder().https_only(true).tls_certs_merge(roots))
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let client = builder
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(self.options.connect_timeout)
            .timeout(self.options.timeout)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|cause| ClientError::Certificates(root_cause(&cause)))?;
        Ok(cell.get_or_init(|| client))
    }

    fn failure(&self, target: &Target, cause: &reqwest::Error) -> ClientError {
        let origin = target.origin().to_owned();
        if cause.is_timeout() {
            let options = &self.options;
            let after = if cause.is_connect() { options.connect_timeout } else { options.timeout };
            return ClientError::Timeout { origin, after };
        }
        ClientError::Unreachable { origin, reason: root_cause(cause) }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Response {
    /// The JSON object of a successful answer; every other answer is an error.
    pub(super) fn into_json<T: DeserializeOwned>(self, target: &Target) -> Result<T, ClientError> {
        let response = self.into_success(target)?;
        let members = json::parse_object(&response.body).map_err(|e| target.unexpected(e))?;
        serde_json::from_value(Value::Object(members)).map_err(|e| target.unexpected(e))
    }

    /// The answer, if its status is 2xx.
    pub(super) fn into_success(self, target: &Target) -> Result<Self, ClientError> {
        if self.status.is_success() {
            return Ok(self);
        }
        match self.headers.get(LOCATION) {
            Some(location) if self.status.is_redirection() => Err(ClientError::Redirected {
                address: target.uri().as_str().to_owned(),
                location: String::from_utf8_lossy(location.as_bytes()).into_owned(),
            }),
            _ => Err(ClientError::Refused(Refusal::of(&self))),
        }
    }
}

fn too_large(target: &Target, limit: usize) -> ClientError {
    ClientError::ResponseTooLarge { origin: target.origin().to_owned(), limit }
}

fn parse_roots(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, ClientError> {
    match reqwest::Certificate::from_pem_bundle(pem) {
        Ok(roots) if !roots.is_empty() => Ok(roots),
        Ok(_) => Err(ClientError::Certificates("the file has no certificate in it".to_owned())),
        Err(cause) => Err(ClientError::Certificates(root_cause(&cause))),
    }
}

/// The innermost cause: the one that people understand.
fn root_cause(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}
