//! What a way to register by `POST /register` looks like.

use std::pin::Pin;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value};

use super::members::text;
use crate::{
    http::{address::ClientAddress, problem::Problem},
    state::App,
};

/// The member with the one-time code of an invitation, which the originals do not know: a server that
/// registers by invitation needs it.
const ENROLMENT_CODE: &str = "enrolment_code";

/// A way to register: the members that its body has, exactly, and what to do with them.
pub(super) struct Shape {
    /// The dialect, by name.
    pub(super) name: &'static str,
    /// Each alternative set of members.
    pub(super) members: &'static [&'static [&'static str]],
    /// Whether the body may have the code of an invitation besides: [`ENROLMENT_CODE`].
    pub(super) takes_code: bool,
    /// Status and body of the answer to whoever has registered, for the description of the API.
    pub(super) success: (StatusCode, &'static str),
    /// The members of its own refusals, all of them texts, where they are no problem documents; their
    /// status is 400.
    pub(super) refusal: &'static [&'static str],
    /// Registers in this way.
    pub(super) register: fn(App, ClientAddress, Map<String, Value>) -> Answer,
}

/// The answer to a registration, to be awaited.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

impl Shape {
    pub(super) fn fits(&self, body: &Map<String, Value>) -> bool {
        let has_code = self.takes_code && body.contains_key(ENROLMENT_CODE);
        self.members.iter().any(|members| {
            members.len() + usize::from(has_code) == body.len()
                && members.iter().all(|name| body.contains_key(*name))
        })
    }
}

/// The code of an invitation in the body, if there is one.
pub(super) fn enrolment_code(body: &Map<String, Value>) -> Result<Option<&str>, Problem> {
    body.contains_key(ENROLMENT_CODE).then(|| text(body, ENROLMENT_CODE)).transpose()
}
