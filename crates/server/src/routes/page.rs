//! The page that a person sees at `/`.

use axum::{
    extract::State,
    response::{Html, IntoResponse},
};

use crate::app::App;

const PAGE: &str = include_str!("page.html");

/// What this is and how to use it.
pub(crate) async fn page(State(app): State<App>) -> impl IntoResponse {
    // An issuer consists of characters that mean nothing in HTML: it was parsed as an origin.
    Html(PAGE.replace("{issuer}", app.authority.policy().issuer()))
}
