//! `countersign call`: a signed request, much as curl would send it.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use countersign_client::{Refusal, Request, Response, TransportOptions, keyring::Entry};
use countersign_protocol::{AuthenticationClass, wire};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, TRANSFER_ENCODING, WWW_AUTHENTICATE,
    },
};
use serde::de::IgnoredAny;

use super::{
    actor::ActorOptions,
    connection::{explain, explain_call, is_other_name, same_server},
    dialects::{self, Proof, Recipients},
    entry_choice::Naming,
    text::{argument, printable},
};
use crate::output;

/// The exit status for answers with an error status, as with `curl --fail-with-body`.
const HTTP_ERROR: u8 = 22;

/// Longer bodies are not printed to a terminal.
const MAX_RESPONSE_BYTES: usize = 256 * 1024 * 1024;

/// Headers that this command sets: those of the signature, and those that say where the request
/// ends.
const RESERVED: [HeaderName; 4] =
    [AUTHORIZATION, CONTENT_LENGTH, HeaderName::from_static(wire::header::DPOP), TRANSFER_ENCODING];

#[derive(Args)]
#[command(after_help = "\
Exit status: 0 for an answer below 400, 22 for one from 400 on (its body is printed all the same), \
1 when there is no answer or a file cannot be used, 2 for a command that cannot be understood.

Examples:
  countersign call GET /v1/keys
  countersign call POST https://api.example.com/orders -d '{\"item\": 7}' -i
  countersign call PUT https://api.example.com/photo -d @photo.jpg -H 'Content-Type: image/jpeg'")]
pub(crate) struct Options {
    /// The method, such as GET or POST
    #[arg(value_parser = parse_method)]
    method: Method,

    /// The address; for the server itself a path such as /v1/whoami is enough
    url: String,

    /// What to send: text, the content of @FILE, or @- for standard input. It is taken for JSON
    /// if it is JSON, else for a form; several are joined by &
    #[arg(short, long, allow_hyphen_values = true)]
    data: Vec<String>,

    /// A header field to send
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,

    /// Print status and header fields before the body
    #[arg(short, long)]
    include: bool,

    /// Write the answer to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// How long to wait for the whole answer, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    max_time: u64,

    /// What the token is for, as the API calls itself [default: the server, or else the origin of
    /// the address]
    #[arg(long, value_name = "URL")]
    resource: Option<String>,

    /// Prove the request in a dialect, without a token
    #[arg(long, value_enum)]
    dialect: Option<Proof>,

    /// Let this origin, besides the server itself, get the signature of a signjwt session. It
    /// covers no method, URL or body: whoever gets it can make another request to the server with
    /// it
    #[arg(long, value_name = "ORIGIN", requires = "dialect")]
    send_session_to: Option<String>,

    /// The entry of the keyring to sign with [default: the only one that fits]
    #[arg(long = "as", value_name = "ENTRY")]
    entry: Option<String>,

    #[command(flatten)]
    actor: ActorOptions,
}

pub(super) async fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut body = Vec::new();
    options.read_data(&mut body)?;
    let limits = TransportOptions {
        timeout: Duration::from_secs(options.max_time),
        max_response_bytes: MAX_RESPONSE_BYTES,
        ..TransportOptions::default()
    };
    let entry = Naming::Option(options.entry.as_deref());
    let is_path = options.url.starts_with('/');
    let url = Some(options.url.as_str()).filter(|_| !is_path);
    let mut actor = options.actor.open(entry, url, limits).await?;
    let url = if is_path {
        format!("{}{}", actor.server().trim_end_matches('/'), options.url)
    } else {
        options.url.clone()
    };
    let headers = options.headers(&body);
    let request = Request { method: options.method.clone(), url, headers, body };
    let is_safe = request.method.is_safe();
    let resource = options.resource(&request, actor.server())?;
    let mut refused_login = None;
    let answer = if let Some(proof) = options.dialect {
        let recipients = Recipients {
            resource: resource.as_deref(),
            send_session_to: options.send_session_to.as_deref(),
        };
        dialects::send(&actor, proof, &recipients, request).await?
    } else {
        let login = actor.logged_in(resource.as_deref()).await?;
        let answer = login.send(request).await;
        actor.done(&login, None);
        refused_login = login.refused_login();
        answer.map_err(|error| explain_call(error, actor.server(), is_safe, explain))?
    };
    options.write(&answer)?;
    if let Some(remark) = redirection(&answer) {
        output::remark(remark);
    }
    if answer.status.is_client_error() || answer.status.is_server_error() {
        output::remark(format!("countersign: the answer is {}", answer.status));
        if answer.status == StatusCode::UNAUTHORIZED && options.dialect.is_none() {
            let server = actor.server();
            output::remark(why_unauthorized(&answer, refused_login.as_ref(), server));
        }
        if lacks_scope(&answer) {
            output::remark(format!(
                "  an administrator grants scopes (countersign admin accounts grant NAME SCOPE); a \
                 token has those of the time when it was made, so then{}",
                login_again(actor.entry(), resource.as_deref())
            ));
        }
        return Ok(ExitCode::from(HTTP_ERROR));
    }
    Ok(ExitCode::SUCCESS)
}

impl Options {
    /// The API that a token must name for `request`; none for the server itself.
    fn resource(&self, request: &Request, server: &str) -> anyhow::Result<Option<String>> {
        let resource = match &self.resource {
            Some(resource) => resource.clone(),
            None => request.origin().map_err(explain)?,
        };
        ensure!(
            self.resource.is_some() || !is_other_name(&resource, server),
            "the server at {resource} goes by {server}, and its tokens and proofs are for that name: \
             countersign call {} {}",
            request.method,
            request.url.replacen(&resource, server, 1)
        );
        Ok(Some(resource).filter(|resource| !same_server(resource, server)))
    }

    fn read_data(&self, body: &mut Vec<u8>) -> anyhow::Result<()> {
        let readers = self.data.iter().filter(|data| *data == "@-").count();
        ensure!(
            readers + usize::from(self.actor.reads_stdin()) <= 1,
            "standard input can be read only once"
        );
        for (i, data) in self.data.iter().enumerate() {
            if i > 0 {
                body.push(b'&');
            }
            match data.strip_prefix('@') {
                None => body.extend_from_slice(data.as_bytes()),
                Some("-") => {
                    io::stdin().read_to_end(body).context("cannot read standard input")?;
                }
                Some(path) => {
                    let content = fs::read(path).with_context(|| format!("cannot read {path}"))?;
                    body.extend_from_slice(&content);
                }
            }
        }
        Ok(())
    }

    fn headers(&self, body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        if !body.is_empty() && !headers.contains_key(CONTENT_TYPE) {
            let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
            let media_type =
                if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        headers
    }

    fn write(&self, answer: &Response) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        if self.include {
            bytes.extend_from_slice(format!("HTTP {}\r\n", answer.status).as_bytes());
            for (name, value) in &answer.headers {
                let field = [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"];
                bytes.extend_from_slice(&field.concat());
            }
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(&answer.body);
        if let Some(path) = &self.output {
            return fs::write(path, bytes)
                .with_context(|| format!("cannot write {}", path.display()));
        }
        // What is said next begins a line of its own, and so does the shell.
        if io::stdout().is_terminal() && !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        Ok(output::bytes(&bytes)?)
    }
}

/// What gets a token with other scopes: a login, or, with a key from a file, the next request.
fn login_again(entry: Option<&Entry>, resource: Option<&str>) -> String {
    let Some(entry) = entry else { return " call again".to_owned() };
    let resource = resource.map_or_else(String::new, |name| format!(" --resource {name}"));
    format!(": countersign login {}{resource}", argument(entry.name().as_str()))
}

/// What is said of a redirection (RFC 9110 §15.4), since it is not followed.
fn redirection(answer: &Response) -> Option<String> {
    let location = answer.headers.get(LOCATION).filter(|_| answer.status.is_redirection())?;
    let location = printable(&String::from_utf8_lossy(location.as_bytes()));
    Some(format!(
        "countersign: the answer is {}, to {location:?}, which is not followed: token and proof are for \
         one address. If that is the right one, call it",
        answer.status
    ))
}

/// The name of an API that refuses a token because it is meant for another one.
fn own_name(answer: &Response) -> Option<String> {
    let told = challenge_parameter(answer, "error_description")?;
    let (_, name) = told.split_once("another audience than ")?;
    Some(printable(name.trim()))
}

/// Advice for an answer by which the client is not authenticated. The tokens are of `server`.
fn why_unauthorized(answer: &Response, refused_login: Option<&Refusal>, server: &str) -> String {
    if let Some(login) = refused_login {
        return format!("  the token is refused, and the login for another one too: {login}");
    }
    if challenges(answer, "use_dpop_nonce")
        && !answer.headers.contains_key(wire::header::DPOP_NONCE)
    {
        return "  the API asks for a nonce and gives none: the proxy in front of it does not pass the \
                header DPoP-Nonce on"
            .to_owned();
    }
    if let Some(name) = own_name(answer) {
        return format!(
            "  the API calls itself {name}: call it by that address, or let its guard have the origin by \
             which it is called"
        );
    }
    if challenges(answer, "insufficient_user_authentication") {
        return match challenge_parameter(answer, "acr_values") {
            Some(class) if class == AuthenticationClass::PhishingResistant.name() => format!(
                "  this resource wants a login with a passkey, which only a browser has: sign in at \
                 {server} and do it there"
            ),
            Some(class) => {
                format!(
                    "  this resource wants a login of the class {class}, which is not known here"
                )
            }
            None => {
                "  this resource wants a more recent login than the one that was just made: the \
                     clocks of the API and of the server may be apart"
                    .to_owned()
            }
        };
    }
    "  `countersign login` tells whether the server still takes the key".to_owned()
}

/// Whether the API says that the token is valid but lacks a scope (RFC 6750 §3.1).
fn lacks_scope(answer: &Response) -> bool {
    answer.status == StatusCode::FORBIDDEN && challenges(answer, "insufficient_scope")
}

/// Whether a challenge has this `error`.
fn challenges(answer: &Response, error: &str) -> bool {
    let error = format!("error=\"{error}\"");
    let fields = answer.headers.get_all(WWW_AUTHENTICATE);
    fields.iter().any(|field| field.to_str().is_ok_and(|field| field.contains(&error)))
}

/// The text of a parameter of a challenge, where it is quoted.
fn challenge_parameter<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    let start = format!("{name}=\"");
    answer.headers.get_all(WWW_AUTHENTICATE).iter().find_map(|field| {
        let (_, rest) = field.to_str().ok()?.split_once(&start)?;
        rest.split_once('"').map(|(value, _)| value)
    })
}

/// Methods are case-sensitive, but everybody who writes "get" means `GET`.
fn parse_method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    let known = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
    let text = if known.contains(&upper.as_str()) { &upper } else { text };
    Method::from_bytes(text.as_bytes()).map_err(|_| "this is no HTTP method".to_owned())
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name: HeaderName = name.trim().parse().map_err(|_| "the name is no header name")?;
    if RESERVED.contains(&name) {
        return Err(format!("{name} is set by countersign itself"));
    }
    let value = value.trim().parse().map_err(|_| "the value has control characters")?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_taken_as_curl_takes_them() {
        let (name, value) = parse_header("X-Thing:  a: b ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-thing", "a: b"));
        for bad in ["X-Thing", ": x", "a b: c", "X: a\nY: b"] {
            assert!(parse_header(bad).is_err(), "{bad:?}");
        }
        for reserved in ["authorization: Bearer x", "DPoP: x", "Content-Length: 3"] {
            assert!(parse_header(reserved).unwrap_err().contains("itself"), "{reserved}");
        }
    }

    #[test]
    fn a_missing_scope_is_told_from_other_refusals() {
        let answer = |status, challenge: &str| {
            let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, challenge.parse().unwrap())]);
            Response { status, headers, body: Vec::new() }
        };
        let challenge = r#"DPoP algs="ES256", error="insufficient_scope", scope="admin""#;
        assert!(lacks_scope(&answer(StatusCode::FORBIDDEN, challenge)));
        assert!(!lacks_scope(&answer(StatusCode::UNAUTHORIZED, challenge)));
        assert!(!lacks_scope(&answer(StatusCode::FORBIDDEN, r#"DPoP error="invalid_token""#)));
    }

    #[test]
    fn a_nonce_that_a_proxy_keeps_back_is_called_that() {
        let challenge = r#"DPoP algs="ES256", error="use_dpop_nonce""#.parse().unwrap();
        let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, challenge)]);
        let mut answer = Response { status: StatusCode::UNAUTHORIZED, headers, body: Vec::new() };
        let advice = |answer: &Response| why_unauthorized(answer, None, "https://auth.example");
        assert!(advice(&answer).contains("does not pass the header DPoP-Nonce on"));
        answer.headers.insert(wire::header::DPOP_NONCE, HeaderValue::from_static("n"));
        assert!(advice(&answer).contains("countersign login"));
    }

    #[test]
    fn an_api_of_another_name_is_told_by_that_name() {
        let challenge = "DPoP error=\"invalid_token\", error_description=\"the token is meant for \
                         another audience than http://localhost:8000\"";
        let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, challenge.parse().unwrap())]);
        let answer = Response { status: StatusCode::UNAUTHORIZED, headers, body: Vec::new() };
        let told = why_unauthorized(&answer, None, "https://auth.example");
        assert!(told.contains("calls itself http://localhost:8000: call it by that"), "{told}");
    }

    #[test]
    fn a_redirection_is_said_because_it_is_not_followed() {
        let to = HeaderValue::from_static("/items");
        let headers = HeaderMap::from_iter([(LOCATION, to)]);
        let status = StatusCode::TEMPORARY_REDIRECT;
        let told = redirection(&Response { status, headers, body: Vec::new() }).unwrap();
        assert!(
            told.contains("307") && told.contains("\"/items\", which is not followed"),
            "{told}"
        );
        let plain =
            Response { status: StatusCode::OK, headers: HeaderMap::new(), body: Vec::new() };
        assert_eq!(redirection(&plain), None);
    }

    #[test]
    fn a_login_that_is_wanted_is_called_by_what_one_can_do() {
        let advice = |parameters: &str| {
            let challenge =
                format!("DPoP error=\"insufficient_user_authentication\", {parameters}");
            let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, challenge.parse().unwrap())]);
            let answer = Response { status: StatusCode::UNAUTHORIZED, headers, body: Vec::new() };
            why_unauthorized(&answer, None, "https://auth.example")
        };
        let passkey = advice(r#"acr_values="phr", max_age="300""#);
        assert!(passkey.contains("a login with a passkey"), "{passkey}");
        assert!(passkey.contains("sign in at https://auth.example"), "{passkey}");
        assert!(advice(r#"acr_values="gold""#).contains("of the class gold"));
        assert!(advice(r#"max_age="0""#).contains("a more recent login"));
    }

    #[test]
    fn a_method_may_be_typed_in_lower_case() {
        assert_eq!(parse_method("get").unwrap(), Method::GET);
        assert_eq!(parse_method("Purge").unwrap().as_str(), "Purge");
        assert!(parse_method("GET /").is_err());
        assert!(parse_method("").is_err());
    }
}
