//! Chooses the server and connects to it.

use std::{env, fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, anyhow};
use clap::Args;
use countersign_client::{Client, ClientError, Login, Refusal, Transport, TransportOptions};
use countersign_protocol::{proofs::target_uri::TargetUri, tokens::offered_session::UnfitSession};
use countersign_system::{SystemClock, SystemRandom};
use http::StatusCode;

/// By which name `countersign serve` goes by default.
const DEFAULT_SERVER: &str = "http://localhost:8080";

/// By which name it goes if it was installed before it went by the other one.
const FORMER_DEFAULT: &str = "http://127.0.0.1:8080";

const SERVER_VARIABLE: &str = "COUNTERSIGN_SERVER";

#[derive(Args)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerOptions {
    #[arg(
        long,
        value_name = "URL",
        help = "The server's address, such as https://auth.example.com [env: COUNTERSIGN_SERVER]"
    )]
    server: Option<String>,

    /// Trust the certificate authorities in this PEM file too
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl ServerOptions {
    /// The server that the command line names.
    pub(super) fn given(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// The default server.
    pub(super) fn address(&self) -> anyhow::Result<String> {
        match &self.server {
            Some(server) => Ok(server.clone()),
            None => Ok(server_variable()?.unwrap_or_else(|| DEFAULT_SERVER.to_owned())),
        }
    }

    /// A client of `server`, whose metadata have been read.
    pub(super) async fn connect(
        &self,
        server: &str,
        limits: TransportOptions,
    ) -> anyhow::Result<Client> {
        let extra_roots_pem = match &self.ca {
            Some(path) => {
                Some(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?)
            }
            None => None,
        };
        let transport =
            Transport::new(TransportOptions { extra_roots_pem, ..limits }).map_err(explain)?;
        let discover = |server: &str, transport| {
            let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
            let server = server.to_owned();
            async move { Client::discover(&server, transport, clock, random).await }
        };
        let found = discover(server, transport.clone()).await;
        if let Err(ClientError::IssuerMismatch { found: issuer, .. }) = &found
            && self.is_default(server)?
            && issuer == FORMER_DEFAULT
        {
            return discover(FORMER_DEFAULT, transport).await.map_err(explain);
        }
        found.map_err(explain)
    }

    /// Whether nobody has said which server it shall be.
    fn is_default(&self, server: &str) -> anyhow::Result<bool> {
        let is_named = self.server.is_some() || server_variable()?.is_some();
        Ok(!is_named && server == DEFAULT_SERVER)
    }
}

/// The server that the environment names.
pub(super) fn server_variable() -> anyhow::Result<Option<String>> {
    variable(SERVER_VARIABLE)
}

/// An environment variable; one that is empty counts as missing.
pub(super) fn variable(name: &str) -> anyhow::Result<Option<String>> {
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    value.into_string().map(Some).map_err(|_| anyhow!("{name} is not UTF-8"))
}

/// Whether two addresses name the same server, even if they are spelt differently.
pub(super) fn same_server(one: &str, other: &str) -> bool {
    match (TargetUri::parse(one), TargetUri::parse(other)) {
        (Ok(one), Ok(other)) => {
            one.as_str().trim_end_matches('/') == other.as_str().trim_end_matches('/')
        }
        _ => one == other,
    }
}

/// Whether `url` has the scheme, host and port of `server`.
pub(super) fn same_origin(url: &str, server: &str) -> bool {
    let parsed = (TargetUri::parse(url), TargetUri::parse(server));
    matches!(parsed, (Ok(url), Ok(server)) if url.origin() == server.origin())
}

/// Whether `origin` is the port of `server` on this machine under another name, as 127.0.0.1 is for
/// `localhost`.
pub(super) fn is_other_loopback_name(origin: &str, server: &str) -> bool {
    let parsed = (TargetUri::parse(origin), TargetUri::parse(server));
    matches!(parsed, (Ok(one), Ok(other)) if one.differs_in_loopback_name(&other))
}

/// The error, with advice.
pub(super) fn explain(error: ClientError) -> anyhow::Error {
    match &error {
        ClientError::Refused(refusal) if refusal.status == StatusCode::UNAUTHORIZED => {
            anyhow!("{error}\n  `countersign login` gets a new token")
        }
        _ => explain_login(error),
    }
}

/// As [`explain`], for a request of `login`: where the login in place of a refused token was refused
/// too, the reason for that counts.
pub(super) fn explain_in(login: &Login, error: ClientError) -> anyhow::Error {
    match (&error, login.refused_login()) {
        (ClientError::Refused(refusal), Some(login))
            if refusal.status == StatusCode::UNAUTHORIZED =>
        {
            let why = explain_login(ClientError::Refused(login));
            anyhow!("{why}\n  that was the login for another token: the present one is refused")
        }
        _ => explain(error),
    }
}

/// The error of a command that logs in itself, with advice.
pub(super) fn explain_login(error: ClientError) -> anyhow::Error {
    match advice(&error) {
        Some(advice) => anyhow!("{error}\n  {advice}"),
        None => error.into(),
    }
}

/// The error of a request to an API. If the API is another server than `server`, the advice in
/// `otherwise`, which is for `server`, is left out.
pub(super) fn explain_api(
    error: ClientError,
    server: &str,
    otherwise: fn(ClientError) -> anyhow::Error,
) -> anyhow::Error {
    match &error {
        ClientError::Unreachable { origin, .. } | ClientError::Timeout { origin, .. }
            if !same_origin(origin, server) =>
        {
            anyhow!("{error}\n  is the API running there?")
        }
        _ => otherwise(error),
    }
}

fn advice(error: &ClientError) -> Option<String> {
    let advice = match error {
        ClientError::IssuerMismatch { found, .. } => format!(
            "a server goes by one name, to which keys and tokens belong; try: --server {found:?}"
        ),
        ClientError::Unreachable { reason, .. } if reason.contains("CaUsedAsEndEntity") => {
            "the server shows the certificate of a certificate authority (CA) as its own, as \
             `openssl req -x509` makes it unless told otherwise. Make it anew with -addext \
             basicConstraints=critical,CA:FALSE"
                .to_owned()
        }
        ClientError::Unreachable { origin, reason } if reason.contains("InvalidContentType") => {
            format!("is TLS spoken there at all? Without it: {}", origin.replace("https:", "http:"))
        }
        ClientError::Unreachable { origin, reason } if reason.contains("invalid HTTP version") => {
            format!("is TLS spoken there? Then: {}", origin.replace("http:", "https:"))
        }
        ClientError::Unreachable { reason, .. } if reason.contains("certificate") => {
            "--ca FILE makes a private certificate authority known".to_owned()
        }
        ClientError::Unreachable { .. } | ClientError::Timeout { .. } => format!(
            "is the server running? --server or {SERVER_VARIABLE} says which one to talk to"
        ),
        ClientError::SessionElsewhere { origin, .. } => {
            format!("if you trust {origin} with that: --send-session-to {origin}")
        }
        ClientError::UnfitSession { reason: UnfitSession::NoIssuer, .. } => {
            "the server is too old for this; until it is updated, log in without --dialect"
                .to_owned()
        }
        ClientError::Refused(refusal) => return advice_on(refusal).map(str::to_owned),
        _ => return None,
    };
    Some(advice)
}

/// What one might do about a refusal.
fn advice_on(refusal: &Refusal) -> Option<&'static str> {
    Some(match refusal.code.as_deref()? {
        "enrolment-closed" => "with a one-time code, try: --code CODE",
        "username-taken" => {
            "choose another name; if it is yours, log in with the key that it was registered with (see \
             `countersign keyring import --help`), or let an administrator make a code for \
             `countersign recover`"
        }
        "key-taken" => {
            "a key belongs to one account only: make another one, or log in with this one (see \
             `countersign keyring import --help`)"
        }
        "invalid_grant" if refusal.to_string().contains("no live key") => {
            "the key is revoked, or the account disabled or gone; the administrator sees which: \
             countersign admin audit"
        }
        "invalid_target" => {
            "the server must know the API: `countersign serve --resource URL`. If the API goes by \
             another name than its origin, say which: --resource"
        }
        "recovery-code" => {
            "it works once, for one account, and not for long; an administrator makes another: \
             countersign admin invite NAME --recover"
        }
        "last-key" => "add another key first: countersign keys add --new",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_with_tls_and_one_without_is_called_that() {
        let advice = |origin: &str, reason: &str| {
            let (origin, reason) = (origin.to_owned(), reason.to_owned());
            advice(&ClientError::Unreachable { origin, reason }).unwrap()
        };
        let corrupt = "received corrupt message of type InvalidContentType";
        assert!(advice("https://a.example", corrupt).ends_with("http://a.example"));
        let version = "invalid HTTP version parsed";
        assert!(advice("http://127.0.0.1:8443", version).ends_with("https://127.0.0.1:8443"));
    }

    #[test]
    fn an_api_that_is_not_there_is_not_the_server() {
        let advice = |origin: &str| {
            let (origin, reason) = (origin.to_owned(), "connection refused".to_owned());
            let error = ClientError::Unreachable { origin, reason };
            explain_api(error, "http://127.0.0.1:8080", explain_login).to_string()
        };
        assert!(advice("http://127.0.0.1:9000").ends_with("is the API running there?"));
        assert!(advice("http://127.0.0.1:8080").contains("is the server running?"));
    }

    #[test]
    fn spelling_makes_no_other_server() {
        assert!(same_server("http://127.0.0.1:8080", "http://127.0.0.1:8080/"));
        assert!(same_server("https://Auth.Example:443", "https://auth.example"));
        assert!(!same_server("https://auth.example", "http://auth.example"));
        assert!(!same_server("https://auth.example/a", "https://auth.example/b"));
        assert!(same_server("nonsense", "nonsense"));
        assert!(!same_server("nonsense", "other"));
    }

    #[test]
    fn one_machine_may_have_two_names() {
        let (name, address) = ("http://localhost:8080", "http://127.0.0.1:8080");
        assert!(is_other_loopback_name(address, name) && is_other_loopback_name(name, address));
        assert!(!is_other_loopback_name(name, name));
        assert!(!is_other_loopback_name("http://127.0.0.1:9000", name));
        assert!(!is_other_loopback_name("http://192.0.2.1:8080", name));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert!(same_origin("https://a.example/x?y", "https://A.example:443"));
        assert!(!same_origin("https://a.example:8443/x", "https://a.example"));
        assert!(!same_origin("/x", "https://a.example"));
    }
}
