//! What a server says when it refuses: problem details (RFC 9457), OAuth errors (RFC 6749 §5.2) or
//! a challenge.

use std::fmt;
use std::time::Duration;

use countersign_protocol::problem::TYPES;
use countersign_protocol::strict::json;
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::{Map, Value};

use super::challenge::dpop_challenge;
use super::message::Response;

/// Longer texts from a server are cut off.
const MAX_CHARS: usize = 500;

/// An answer with an error status, in terms that a person and a program understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The OAuth `error`, or the `type` of the problem without the prefix of this product's types.
    pub code: Option<String>,
    /// What the server says about it. Safe to print: it has no control characters.
    pub message: Option<String>,
    /// How long the server asks to wait before the next attempt.
    pub retry_after: Option<Duration>,
    /// The thing that is missing, as this product's problems name it in their member `lack`.
    pub lack: Option<String>,
}

impl Refusal {
    pub(super) fn of(response: &Response) -> Self {
        let body = json::parse_object(&response.body).unwrap_or_default();
        // A problem may have an `error` beside its `type`, for clients that only know OAuth errors.
        let is_oauth_error = body.contains_key("error") && !body.contains_key("type");
        let (code, message) = if is_oauth_error { oauth_error(&body) } else { problem(&body) };
        let challenge = dpop_challenge(&response.headers).unwrap_or_default();
        let (code, message) = (code.or(challenge.error), message.or(challenge.description));
        let retry_after = response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Self {
            status: response.status,
            code: code.as_deref().and_then(printable),
            message: message.as_deref().and_then(printable),
            retry_after: retry_after.and_then(|text| text.parse().ok()).map(Duration::from_secs),
            lack: text(&body, "lack").as_deref().and_then(printable),
        }
    }

    /// Whether the server has certainly done nothing of what it was asked. With a status of 5xx, that is
    /// so only where the answer says that the request was refused before it was worked on.
    pub fn has_done_nothing(&self) -> bool {
        let is_early = matches!(self.code.as_deref(), Some("overloaded"));
        !self.status.is_server_error() || is_early || self.lack.as_deref() == Some("disk-space")
    }

    /// Whether the same request with a proof that carries the server's nonce might succeed. A
    /// resource says so in a challenge (RFC 9449 §9), a token endpoint in its error (§8), the
    /// other endpoints of this product in a problem type.
    pub(super) fn demands_nonce(response: &Response) -> bool {
        if !matches!(response.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED) {
            return false;
        }
        let challenged = dpop_challenge(&response.headers).and_then(|challenge| challenge.error);
        let code = Self::of(response).code;
        challenged.as_deref() == Some("use_dpop_nonce")
            || matches!(code.as_deref(), Some("use_dpop_nonce" | "nonce-required"))
    }

    /// Whether a new login might help, which is like the one before: the token is no longer valid
    /// (`invalid_token`, RFC 6750 §3.1), or its login is too long ago (RFC 9470 §3). Where the
    /// resource wants a login of some class, another one like it would not help.
    pub(super) fn wants_new_login(response: &Response) -> bool {
        let challenge = dpop_challenge(&response.headers).unwrap_or_default();
        let wants_it = match challenge.error.as_deref() {
            Some("invalid_token") => true,
            Some("insufficient_user_authentication") => challenge.acr_values.is_none(),
            _ => false,
        };
        response.status == StatusCode::UNAUTHORIZED && wants_it
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server_fault = self.status.is_server_error();
        f.write_str(if server_fault { "the server failed: " } else { "the server refused: " })?;
        let message = self.message.as_deref().map(|text| text.trim_end_matches('.'));
        f.write_str(message.or(self.status.canonical_reason()).unwrap_or("no reason given"))?;
        write!(f, " (HTTP {}", self.status.as_u16())?;
        if let Some(code) = &self.code {
            write!(f, ", {code}")?;
        }
        f.write_str(")")?;
        if let Some(after) = self.retry_after {
            write!(f, "; try again in {}", wait(after.as_secs()))?;
        }
        Ok(())
    }
}

/// A time to wait, in seconds, and in a larger unit where nobody counts that many seconds.
fn wait(seconds: u64) -> String {
    match seconds {
        0..180 => format!("{seconds} s"),
        180..7200 => format!("{seconds} s ({} minutes)", seconds.div_ceil(60)),
        _ => format!("{seconds} s ({} hours)", seconds.div_ceil(3600)),
    }
}

fn oauth_error(body: &Map<String, Value>) -> (Option<String>, Option<String>) {
    (text(body, "error"), text(body, "error_description"))
}

fn problem(body: &Map<String, Value>) -> (Option<String>, Option<String>) {
    let kind = text(body, "type").filter(|kind| kind != "about:blank");
    let code = kind.map(|kind| kind.strip_prefix(TYPES).unwrap_or(&kind).to_owned());
    // The title says what the code says already; the detail is about this request. Some
    // dialects have neither.
    let message = ["detail", "title", "message"].into_iter().find_map(|name| text(body, name));
    (code, message)
}

fn text(body: &Map<String, Value>, name: &str) -> Option<String> {
    body.get(name)?.as_str().map(str::to_owned)
}

/// A server's text without the characters that could control a terminal or mislead a reader.
fn printable(text: &str) -> Option<String> {
    let misleads = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    let clean = text.chars().map(|c| if misleads(c) { ' ' } else { c });
    let clean: String = clean.take(MAX_CHARS).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn refusal(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Refusal {
        Refusal::of(&response(status, headers, body))
    }

    fn response(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Response {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, http::HeaderValue::from_static(value));
        }
        let status = StatusCode::from_u16(status).unwrap();
        Response { status, headers: map, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn every_form_of_refusal_reads_well() {
        let cases = [
            (
                refusal(
                    409,
                    &[],
                    r#"{"type":"https://github.com/countersign/countersign/problems/username-taken","title":"The username is taken.","status":409}"#,
                ),
                "the server refused: The username is taken (HTTP 409, username-taken)",
            ),
            (
                refusal(
                    400,
                    &[],
                    r#"{"type":"about:blank","title":"Bad key.","detail":"too short"}"#,
                ),
                "the server refused: too short (HTTP 400)",
            ),
            (
                refusal(400, &[], r#"{"error":"invalid_grant","error_description":"unknown key"}"#),
                "the server refused: unknown key (HTTP 400, invalid_grant)",
            ),
            (
                refusal(401, &[("www-authenticate", r#"DPoP error="invalid_token""#)], ""),
                "the server refused: Unauthorized (HTTP 401, invalid_token)",
            ),
            (
                refusal(429, &[("retry-after", "7")], "slow down"),
                "the server refused: Too Many Requests (HTTP 429); try again in 7 s",
            ),
            (
                refusal(429, &[("retry-after", "296")], ""),
                "the server refused: Too Many Requests (HTTP 429); try again in 296 s (5 minutes)",
            ),
            (
                refusal(429, &[("retry-after", "43200")], ""),
                "the server refused: Too Many Requests (HTTP 429); try again in 43200 s (12 hours)",
            ),
            (
                refusal(503, &[("retry-after", "soon")], "{}"),
                "the server failed: Service Unavailable (HTTP 503)",
            ),
            (
                refusal(400, &[], r#"{"res":"Error","message":"this does not open"}"#),
                "the server refused: this does not open (HTTP 400)",
            ),
            (refusal(799, &[], "<html>"), "the server refused: no reason given (HTTP 799)"),
        ];
        for (refusal, text) in cases {
            assert_eq!(refusal.to_string(), text);
        }
    }

    #[test]
    fn a_failure_may_have_done_something_unless_the_server_says_otherwise() {
        let problem = |kind: &str, rest: &str| {
            format!(
                r#"{{"type":"https://github.com/countersign/countersign/problems/{kind}"{rest}}}"#
            )
        };
        for (status, body, nothing) in [
            (503, problem("unavailable", ""), false),
            (503, problem("timeout", ""), false),
            (500, problem("internal", ""), false),
            (502, String::new(), false),
            (503, problem("overloaded", ""), true),
            (503, problem("unavailable", r#","lack":"disk-space""#), true),
            (409, problem("key-taken", ""), true),
        ] {
            assert_eq!(refusal(status, &[], &body).has_done_nothing(), nothing, "{status} {body}");
        }
    }

    #[test]
    fn a_server_cannot_steer_the_terminal() {
        let body = format!(
            r#"{{"error":"a\u001b[31m","error_description":"b\r\nc\u202e{}"}}"#,
            "d".repeat(10_000)
        );
        let refusal = refusal(400, &[], &body);
        assert_eq!(refusal.code.as_deref(), Some("a [31m"));
        let message = refusal.message.unwrap();
        assert!(message.starts_with("b  c dd"), "{message}");
        assert!(message.chars().count() <= MAX_CHARS);
    }

    #[test]
    fn a_nonce_is_demanded_in_three_ways() {
        let demands =
            |status, headers, body| Refusal::demands_nonce(&response(status, headers, body));
        let challenge = [("www-authenticate", r#"DPoP error="use_dpop_nonce""#)];
        assert!(demands(401, &challenge[..], "{}"));
        assert!(demands(401, &challenge[..], r#"{"error":"something"}"#));
        assert!(demands(400, &[], r#"{"error":"use_dpop_nonce"}"#));
        assert!(demands(
            400,
            &[],
            r#"{"type":"https://github.com/countersign/countersign/problems/nonce-required","error":"use_dpop_nonce"}"#
        ));
        assert!(!demands(403, &challenge[..], "{}"));
        assert!(!demands(200, &challenge[..], "{}"));
        assert!(!demands(400, &[], r#"{"error":"invalid_dpop_proof"}"#));
    }
}
