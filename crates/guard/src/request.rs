//! A request that a guard decides about, and what comes of one that is accepted.

use std::net::IpAddr;

use countersign_protocol::{AccountId, ClientNetwork, Principal, replay::ReplayOwner};
use http::{HeaderMap, Method, request::Parts};

use crate::{refusal::Refused, requirements::Requirements};

/// What is required of principals where nothing else is said.
const NOTHING: &Requirements = &Requirements::none();

/// A request to verify.
///
/// From the head of a request of `http` it is made by `Request::from(&parts)`, and the rest is set
/// where it is known: `Request { body: Some(&body), ..Request::from(&parts) }`.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as it was received, without the query.
    pub path: &'a str,
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The whole body, where [`Guard::needs_body`](crate::Guard::needs_body) asked for it.
    pub body: Option<&'a [u8]>,
    /// What is required of the principal, besides what the guard's policy requires of all.
    pub required: &'a Requirements,
    /// The address that it comes from, where that is known.
    pub client: Option<IpAddr>,
}

impl<'a> From<&'a Parts> for Request<'a> {
    /// A request without a body that requires nothing, from the [`ClientAddress`] in its extensions.
    fn from(parts: &'a Parts) -> Self {
        Self {
            method: &parts.method,
            path: parts.uri.path(),
            headers: &parts.headers,
            body: None,
            required: NOTHING,
            client: parts.extensions.get::<ClientAddress>().map(|client| client.0),
        }
    }
}

impl Request<'_> {
    /// The network that it comes from, where that is known.
    pub(crate) fn network(&self) -> Option<ClientNetwork> {
        self.client.map(|address| ClientAddress(address).network())
    }

    /// Whose share of the replay log it counts against when it is made by `account`.
    pub(crate) fn replay_owner(&self, account: AccountId) -> ReplayOwner {
        ReplayOwner::account(account, self.network())
    }
}

/// The address that a request comes from. The code in front of the guard finds it out and puts it
/// into the request's extensions.
///
/// If it is there, the guard counts the request against the client's network and the account;
/// otherwise against the account alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The network that it counts as.
    pub fn network(self) -> ClientNetwork {
        self.0.into()
    }
}

/// A request that was accepted.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Who made it.
    pub principal: Principal,
    /// The nonce for the session's next request, which the answer must carry.
    pub session_nonce: Option<String>,
}

/// What was decided about a request.
pub(crate) type Verdict = Result<Accepted, Refused>;
