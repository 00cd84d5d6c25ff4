//! The dialects: wire formats of other systems, each in one file, over the one authority.
//!
//! A dialect is thin: it reads its own format, calls the authority, and writes its own format. It
//! can be switched off and is then absent. All of them share `POST /register`, whose bodies differ
//! by their members; see `register.rs`.

mod gradecoin;
mod jwks_server;
mod logout;
mod members;
mod passwordless;
pub(crate) mod proofs;
mod register;
mod self_signed;
mod shape;
mod signjwt;
pub(crate) mod switches;

use utoipa::openapi::{OpenApi, path::Operation, security::SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;

use self::switches::Dialects;
use crate::state::App;

/// The routes of those dialects that are spoken.
pub(crate) fn routes(dialects: Dialects) -> OpenApiRouter<App> {
    let mut routes = OpenApiRouter::new();
    if !register::shapes(dialects).is_empty() {
        routes = routes.merge(register::routes());
    }
    if dialects.jwks_server {
        routes = routes.merge(jwks_server::routes());
    }
    if dialects.gradecoin {
        routes = routes.merge(gradecoin::routes());
    }
    if dialects.passwordless {
        routes = routes.merge(passwordless::routes());
    }
    if dialects.signjwt {
        routes = routes.merge(signjwt::routes());
    }
    if dialects.passwordless || dialects.signjwt {
        routes = routes.merge(logout::routes());
    }
    routes
}

/// Describes the parts of the API that depend on the spoken dialects: the paths that they share,
/// and the kinds of proof that protected resources accept.
pub(crate) fn describe(api: &mut OpenApi, dialects: Dialects) {
    let mut shared = |path: &str, describe: fn(&mut Operation, Dialects)| {
        let operation = api.paths.paths.get_mut(path).and_then(|item| item.post.as_mut());
        operation.map(|operation| describe(operation, dialects))
    };
    shared(register::PATH, register::describe);
    shared(logout::PATH, logout::describe);
    let kinds = [
        (dialects.signjwt, signjwt::SCHEME, signjwt::scheme()),
        (dialects.self_signed, self_signed::SCHEME, self_signed::scheme()),
    ];
    for (_, name, scheme) in kinds.into_iter().filter(|(spoken, ..)| *spoken) {
        api.components.get_or_insert_default().add_security_scheme(name, scheme);
        for operation in api.paths.paths.values_mut().flat_map(operations) {
            // Every kind of proof opens the resources that DPoP opens.
            if let Some(security) = &mut operation.security {
                security.push(SecurityRequirement::new::<_, [&str; 0], &str>(name, []));
            }
        }
    }
}

fn operations(path: &mut utoipa::openapi::PathItem) -> impl Iterator<Item = &mut Operation> {
    let utoipa::openapi::PathItem { get, put, post, delete, patch, .. } = path;
    [get, put, post, delete, patch].into_iter().filter_map(Option::as_mut)
}
