//! Keeps other sites' web pages from writing.
//!
//! A page can make a visitor's browser send "simple" requests to any server that the browser
//! reaches, without asking beforehand (Fetch §2.2.2). They carry no credentials, but they come from
//! the visitor's network: they would use up its allowances, and reach servers that the page's
//! author cannot. Browsers say where such a request comes from; other clients do not.

use std::sync::Arc;

use countersign_protocol::proofs::target_uri::TargetUri;
use http::{HeaderValue, Method, Request, header::ORIGIN};

use crate::{
    http::problem::{Problem, ProblemType},
    layers::cors::CorsOrigins,
};

/// The header in which browsers describe the page (Fetch Metadata §2.2), even if they send no
/// `Origin`.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The pages that may write: the server's own, and those that CORS allows. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct WebPages(Arc<Writers>);

struct Writers {
    issuer: String,
    others: CorsOrigins,
}

impl WebPages {
    pub(crate) fn new(issuer: &TargetUri, others: &CorsOrigins) -> Self {
        let writers = Writers { issuer: issuer.origin().to_owned(), others: others.clone() };
        Self(Arc::new(writers))
    }

    /// Refuses a writing request that a page of another origin makes a browser send, whatever its
    /// body is.
    ///
    /// `Origin: null`, which every sandboxed frame sends, cannot be listed. Reading requests are
    /// let in: without CORS the page does not learn the answer.
    ///
    /// # Errors
    /// 403, with the origin that would have to be listed.
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        let mut origins = request.headers().get_all(ORIGIN).iter().peekable();
        if origins.peek().is_none() {
            let site = request.headers().get(SEC_FETCH_SITE).map_or(&[][..], HeaderValue::as_bytes);
            let is_elsewhere = matches!(site, b"cross-site" | b"same-site");
            return if is_elsewhere && self.0.others != CorsOrigins::Any {
                Err(self.refusal("of another site, which sends no Origin,"))
            } else {
                Ok(())
            };
        }
        match origins.find(|origin| !self.may_write(origin)) {
            Some(origin) => {
                let shown = &origin.as_bytes()[..origin.len().min(LONGEST_SHOWN)];
                Err(self.refusal(&format!("of \"{}\"", shown.escape_ascii())))
            }
            None => Ok(()),
        }
    }

    fn may_write(&self, origin: &HeaderValue) -> bool {
        let Writers { issuer, others } = &*self.0;
        origin == issuer.as_str() || others.contain(origin)
    }

    fn refusal(&self, whose: &str) -> Problem {
        Problem::new(ProblemType::Forbidden).detail(format!(
            "a web page {whose} sent this: only pages of {} may, and of the origins that \
             cors.origins lists",
            self.0.issuer
        ))
    }
}

/// How many bytes of an origin are shown.
const LONGEST_SHOWN: usize = 80;
