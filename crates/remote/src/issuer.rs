//! The authentication server as seen from here: what it is, and bounded requests to it.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use countersign_client::{ClientError, Metadata, Request, Response, Transport};
use countersign_guard::ports::PortUnavailable;
use http::{HeaderMap, Method, StatusCode};
use thiserror::Error;
use tokio::sync::Semaphore;

/// More requests than this are not under way at once.
const MAX_CONCURRENT: usize = 64;

/// The issuer, by its identifier.
pub(crate) struct Issuer {
    identifier: String,
    transport: Transport,
    /// What it said of itself, once it has been asked.
    metadata: ArcSwapOption<Metadata>,
    permits: Semaphore,
}

/// Why the issuer gave no usable answer.
#[derive(Debug, Error)]
pub(crate) enum AskError {
    /// There was no answer, or one that breaks the limits.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It answered something else than what was asked for.
    #[error("{url} answered {what}")]
    Unusable { url: String, what: String },
    /// There are too many questions already.
    #[error("too many requests to the issuer are under way")]
    Busy,
}

impl From<AskError> for PortUnavailable {
    fn from(error: AskError) -> Self {
        Self(error.to_string())
    }
}

impl Issuer {
    pub(crate) fn new(identifier: String, transport: Transport) -> Self {
        Self {
            identifier,
            transport,
            metadata: ArcSwapOption::empty(),
            permits: Semaphore::new(MAX_CONCURRENT),
        }
    }

    pub(crate) fn identifier(&self) -> &str {
        &self.identifier
    }

    /// What the issuer says of itself; asked once.
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>, AskError> {
        if let Some(known) = self.metadata.load_full() {
            return Ok(known);
        }
        let found = Arc::new(Metadata::fetch(&self.transport, &self.identifier).await?);
        self.metadata.store(Some(Arc::clone(&found)));
        Ok(found)
    }

    /// The address of a part of the issuer's own API.
    pub(crate) fn api(&self, path: &str) -> String {
        format!("{}{path}", self.identifier.trim_end_matches('/'))
    }

    /// GETs what must be there.
    pub(crate) async fn get(&self, url: &str) -> Result<Response, AskError> {
        let response = self.send(Request::new(Method::GET, url)).await?;
        match response.status {
            StatusCode::OK => Ok(response),
            status => Err(unusable(url, &status)),
        }
    }

    /// Sends a request, whatever the status of the answer.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, AskError> {
        let _permit = self.permits.try_acquire().map_err(|_| AskError::Busy)?;
        Ok(self.transport.send(request).await?)
    }
}

/// `what` was the answer of `url`, and it is of no use.
pub(crate) fn unusable(url: &str, what: &impl ToString) -> AskError {
    AskError::Unusable { url: url.to_owned(), what: what.to_string() }
}

/// For how long `headers` let an answer be kept (RFC 9111 §5.2.2.1).
pub(crate) fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let fields = headers.get_all(http::header::CACHE_CONTROL).iter();
    let mut directives = fields.filter_map(|field| field.to_str().ok()).flat_map(|f| f.split(','));
    let seconds = directives.find_map(|directive| directive.trim().strip_prefix("max-age="))?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::CACHE_CONTROL};

    use super::*;

    #[test]
    fn the_age_is_read_from_among_other_directives() {
        let mut headers = HeaderMap::new();
        assert_eq!(max_age(&headers), None);
        for (field, seconds) in [
            ("public, max-age=300", Some(300)),
            ("max-age=0", Some(0)),
            ("no-store", None),
            ("max-age=x", None),
        ] {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(field));
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{field}");
        }
    }
}
