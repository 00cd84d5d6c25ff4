//! `POST /register`: one path for four dialects, told apart by the members of the body.

use axum::{Extension, extract::State, response::Response};
use http::StatusCode;
use utoipa::openapi::{
    Content, ObjectBuilder, OneOfBuilder, RefOr, Required, ResponseBuilder, Type,
    path::Operation,
    request_body::{RequestBody, RequestBodyBuilder},
    schema::AdditionalProperties,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{gradecoin, jwks_server, passwordless, shape::Shape, signjwt, switches::Dialects};
use crate::{
    http::{
        address::ClientAddress,
        body::UntypedObject,
        problem::{Problem, ProblemType},
    },
    state::App,
};

pub(super) const PATH: &str = "/register";

/// The shapes of the dialects that are spoken.
pub(super) fn shapes(dialects: Dialects) -> Vec<Shape> {
    [
        (dialects.gradecoin, gradecoin::REGISTER),
        (dialects.jwks_server, jwks_server::REGISTER),
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
#[utoipa::path(
    post,
    path = PATH,
    tag = "dialects",
    responses(
        (status = 400, description = "The body is that of no dialect, or a member is not valid"),
        (status = 403, description = "enrolment-closed, or enrolment-code where it is by invitation"),
        (status = 409, description = "username-taken or key-taken"),
    )
)]
pub(crate) async fn register(
    State(app): State<App>,
    Extension(client): Extension<ClientAddress>,
    UntypedObject(body): UntypedObject,
) -> Result<Response, Problem> {
    let (body, shapes) = (body.to_map(), shapes(app.settings.dialects));
    let fitting: Vec<&Shape> = shapes.iter().filter(|shape| shape.fits(&body)).collect();
    match fitting.as_slice() {
        [one] => (one.register)(app, client, body).await,
        _ => Err(no_dialect(&shapes)),
    }
}

/// Describes in the OpenAPI document the bodies of the dialects that are spoken.
pub(super) fn describe(operation: &mut Operation, dialects: Dialects) {
    let shapes = shapes(dialects);
    operation.description =
        Some(format!("The members of the body say which: {}.", sentence(&shapes)));
    operation.request_body = Some(body_of_one(&shapes).into());
    for status in [StatusCode::OK, StatusCode::CREATED] {
        let answers = shapes.iter().filter(|shape| shape.success.0 == status);
        let answers: Vec<String> = answers
            .map(|Shape { name, success: (_, body), .. }| format!("{name}: `{body}`"))
            .collect();
        if !answers.is_empty() {
            let response = ResponseBuilder::new().description(answers.join("; ")).build();
            operation.responses.responses.insert(status.as_str().to_owned(), response.into());
        }
    }
    let refused = operation.responses.responses.get_mut(StatusCode::BAD_REQUEST.as_str());
    if let Some(RefOr::T(refused)) = refused {
        for shape in shapes.iter().filter(|shape| !shape.refusal.is_empty()) {
            let body = Content::new(Some(object_of_texts(shape.refusal)));
            refused.content.insert("application/json".to_owned(), body.into());
        }
    }
}

/// A JSON object with exactly the members of one of these shapes.
fn body_of_one(shapes: &[Shape]) -> RequestBody {
    let members = shapes.iter().flat_map(|shape| shape.members);
    let one_of =
        members.fold(OneOfBuilder::new(), |one_of, members| one_of.item(object_of_texts(members)));
    RequestBodyBuilder::new()
        .content("application/json", Content::new(Some(one_of)))
        .required(Some(Required::True))
        .build()
}

/// A JSON object with exactly these members, all of them texts.
fn object_of_texts(members: &[&str]) -> ObjectBuilder {
    let closed =
        ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)));
    members.iter().fold(closed, |object, name| {
        let text = ObjectBuilder::new().schema_type(Type::String);
        object.property(*name, text).required(*name)
    })
}

fn no_dialect(shapes: &[Shape]) -> Problem {
    Problem::new(ProblemType::InvalidRequest).detail(format!(
        "the body must have exactly the members of one way to register: {}",
        sentence(shapes)
    ))
}

/// The bodies, and the optional members.
fn sentence(shapes: &[Shape]) -> String {
    let with_code = shapes.iter().filter(|shape| shape.takes_code).map(|shape| shape.name);
    let with_code = with_code.collect::<Vec<_>>().join(", ");
    let also = format!("; and where registration is by invitation, enrolment_code ({with_code})");
    forms(shapes).join("; ") + if with_code.is_empty() { "" } else { &also }
}

/// Every body that there is, such as `{username, email} (jwks-server)`.
fn forms(shapes: &[Shape]) -> Vec<String> {
    let of_shape = |shape: &Shape| {
        let name = shape.name;
        let form = move |members: &&[&str]| format!("{{{}}} ({name})", members.join(", "));
        shape.members.iter().map(form).collect::<Vec<_>>()
    };
    shapes.iter().flat_map(of_shape).collect()
}
