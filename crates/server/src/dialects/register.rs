//! `POST /register`: one path for four dialects, told apart by the members of the body.

use std::pin::Pin;

use axum::{Extension, extract::State, response::Response};
use serde_json::{Map, Value};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Dialects, gradecoin, passwordless, signjwt};
use crate::{
    address::ClientAddress,
    app::App,
    body::StrictJson,
    problem::{Problem, ProblemBody, ProblemType},
};

/// A way to register: the members that its body has, exactly, and what to do with them.
pub(super) struct Shape {
    /// The dialect, by name.
    pub(super) name: &'static str,
    /// Each alternative set of members.
    pub(super) members: &'static [&'static [&'static str]],
    /// Registers in this way.
    pub(super) register: fn(App, ClientAddress, Map<String, Value>) -> Answer,
}

/// The answer to a registration, to be awaited.
pub(super) type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

impl Shape {
    fn fits(&self, body: &Map<String, Value>) -> bool {
        self.members.iter().any(|members| {
            members.len() == body.len() && members.iter().all(|name| body.contains_key(*name))
        })
    }
}

/// The shapes of the dialects that are spoken.
pub(super) fn shapes(dialects: Dialects) -> Vec<Shape> {
    [
        (dialects.gradecoin, gradecoin::REGISTER),
        (dialects.passwordless, passwordless::REGISTER),
        (dialects.signjwt, signjwt::REGISTER),
    ]
    .into_iter()
    .filter_map(|(spoken, shape)| spoken.then_some(shape))
    .collect()
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(register))
}

/// Register in the format of one of the dialects.
///
/// The members of the body say which: `{user_id or username, public_key}` is *signjwt*,
/// `{username, email}` is *jwks-server*, `{c, iv, key}` is *gradecoin*, and
/// `{username, clientSidePublicKey}` is *passwordless*.
#[utoipa::path(
    post,
    path = "/register",
    tag = "dialects",
    responses(
        (status = 200, description = "signjwt: `{\"message\"}`; passwordless: `{\"serverSidePublicKey\",\"id\"}`"),
        (status = 201, description = "jwks-server: `{\"password\"}`; gradecoin: `{\"res\":\"Success\",\"message\"}`"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json", description = "The body is that of no dialect, or a member is not valid"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json", description = "username-taken or key-taken"),
    )
)]
pub(crate) async fn register(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    StrictJson(body): StrictJson<Map<String, Value>>,
) -> Result<Response, Problem> {
    let shapes = shapes(app.settings.dialects);
    let fitting: Vec<&Shape> = shapes.iter().filter(|shape| shape.fits(&body)).collect();
    match fitting.as_slice() {
        [one] => Ok((one.register)(app, client, body).await),
        _ => Err(no_dialect(&shapes)),
    }
}

fn no_dialect(shapes: &[Shape]) -> Problem {
    let spoken: Vec<String> = shapes
        .iter()
        .flat_map(|shape| {
            shape
                .members
                .iter()
                .map(|members| format!("{{{}}} ({})", members.join(", "), shape.name))
        })
        .collect();
    Problem::new(ProblemType::InvalidRequest).detail(format!(
        "the body must have exactly the members of one way to register: {}",
        spoken.join("; ")
    ))
}
