//! What the guard decided, in Python's terms.

use countersign_remote::{
    guard::{self, BodyError, Guard, Refusal, add_session_nonce},
    protocol::{AuthenticationClass, Principal, ProofKind, names::Username},
};
use http::HeaderMap;
use pyo3::prelude::*;

/// Names and values of header fields.
type Fields = Vec<(String, String)>;

/// Either of both, as the object that it is.
#[derive(IntoPyObject)]
pub(crate) enum Verdict {
    Accepted(Accepted),
    Refused(Refused),
}

/// A request that was accepted: who made it, and what its answer must carry.
#[pyclass(frozen, module = "countersign._native")]
pub(crate) struct Accepted {
    pub(crate) principal: Principal,
    #[pyo3(get)]
    headers: Fields,
}

/// A request that was refused: its answer, and the reason for the log.
#[pyclass(frozen, get_all, module = "countersign._native")]
pub(crate) struct Refused {
    status: u16,
    headers: Fields,
    body: String,
    reason: &'static str,
    message: String,
    cause: Option<String>,
}

impl Verdict {
    pub(crate) fn of(guard: &Guard, verdict: Result<guard::Accepted, guard::Refused>) -> Self {
        match verdict {
            Ok(accepted) => Self::Accepted(Accepted::new(guard, accepted)),
            Err(refused) => Self::Refused(Refused::new(guard, &refused)),
        }
    }
}

impl Accepted {
    fn new(guard: &Guard, accepted: guard::Accepted) -> Self {
        let mut headers = HeaderMap::new();
        guard.add_nonce(&mut headers);
        add_session_nonce(&mut headers, accepted.session_nonce);
        Self { principal: accepted.principal, headers: fields(&headers) }
    }
}

#[pymethods]
impl Accepted {
    #[getter]
    fn account_id(&self) -> String {
        self.principal.account_id.to_string()
    }

    #[getter]
    fn username(&self) -> Option<&str> {
        self.principal.username.as_ref().map(Username::as_str)
    }

    #[getter]
    fn credential(&self) -> Option<String> {
        self.principal.key.map(|key| key.credential.to_string())
    }

    #[getter]
    fn thumbprint(&self) -> Option<String> {
        self.principal.key.map(|key| key.thumbprint.to_string())
    }

    #[getter]
    fn proof(&self) -> &'static str {
        self.principal.proof.name()
    }

    #[getter]
    fn token_id(&self) -> Option<&str> {
        self.principal.token_id.as_deref()
    }

    #[getter]
    fn scopes(&self) -> Vec<&str> {
        self.principal.scopes.iter().collect()
    }

    /// In seconds since 1970.
    #[getter]
    fn auth_time(&self) -> Option<u64> {
        self.principal.authentication.map(|login| login.at.as_secs())
    }

    #[getter]
    fn amr(&self) -> Vec<&'static str> {
        let methods = self.principal.authentication.map(|login| login.methods);
        methods.unwrap_or_default().names().collect()
    }

    #[getter]
    fn acr(&self) -> Option<&'static str> {
        self.principal.authentication.and_then(|login| login.class).map(AuthenticationClass::name)
    }

    /// In seconds since 1970.
    #[getter]
    fn expires_at(&self) -> u64 {
        self.principal.expires_at.as_secs()
    }
}

impl Refused {
    pub(crate) fn new(guard: &Guard, refused: &guard::Refused) -> Self {
        let (mut parts, body) = guard.answer(refused).into_parts();
        guard.add_nonce(&mut parts.headers);
        Self {
            status: parts.status.as_u16(),
            headers: fields(&parts.headers),
            body,
            reason: refused.refusal.reason(),
            message: refused.refusal.to_string(),
            cause: refused.refusal.cause().map(str::to_owned),
        }
    }

    /// A refusal before the guard has seen a token.
    pub(crate) fn early(guard: &Guard, refusal: Refusal) -> Self {
        let proof = match refusal {
            Refusal::Body(BodyError::TooLarge | BodyError::Unreadable) => ProofKind::SelfSigned,
            _ => ProofKind::Dpop,
        };
        Self::new(guard, &guard::Refused { refusal, proof, token: None, signer: None })
    }
}

/// The guard's own header fields, which are ASCII.
fn fields(headers: &HeaderMap) -> Fields {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
