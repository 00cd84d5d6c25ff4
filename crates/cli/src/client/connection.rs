//! Chooses the server and connects to it.

use std::{env, fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, anyhow};
use clap::Args;
use countersign_client::{
    Client, ClientError, Login, Refusal, Transport, TransportOptions, check_address,
};
use countersign_protocol::{proofs::target_uri::TargetUri, tokens::offered_session::UnfitSession};
use countersign_system::{SystemClock, SystemRandom};
use http::StatusCode;

#[cfg(test)]
mod tests;

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

/// Whether `origin` can only be `server` under another name: its port on this machine, as 127.0.0.1 is for
/// `localhost`, or the same with the other one of http and https.
pub(super) fn is_other_name(origin: &str, server: &str) -> bool {
    let parsed = (TargetUri::parse(origin), TargetUri::parse(server));
    let (Ok(one), Ok(other)) = parsed else { return false };
    let place = |uri: &TargetUri| uri.origin().split_once("://").map(|(_, rest)| rest.to_owned());
    one.differs_in_loopback_name(&other)
        || (one.origin() != other.origin() && place(&one) == place(&other))
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

/// As [`explain_api`], for a request that a person has made up. Whether it can be sent once more without
/// harm, only they know, unless it `is_safe` (RFC 9110 §9.2.1).
pub(super) fn explain_call(
    error: ClientError,
    server: &str,
    is_safe: bool,
    otherwise: fn(ClientError) -> anyhow::Error,
) -> anyhow::Error {
    let leaves_open = error.leaves_open();
    let error = explain_api(error, server, otherwise);
    if is_safe || !leaves_open {
        return error;
    }
    anyhow!(
        "{error}\n  it is not known whether the request was done: look before you send it once more"
    )
}

fn advice(error: &ClientError) -> Option<String> {
    let advice = match error {
        ClientError::IssuerMismatch { asked, found } if asked.eq_ignore_ascii_case(found) => {
            format!("small letters: --server {found}")
        }
        ClientError::IssuerMismatch { asked, found } => other_name(asked, found),
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
        ClientError::Unreachable { reason, .. } => {
            return Some(on_certificate(reason).map_or_else(is_it_running, str::to_owned));
        }
        ClientError::Timeout { .. } => is_it_running(),
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

/// Whether a code would let somebody register. The dialects say so in their text alone.
fn wants_code(refusal: &Refusal) -> bool {
    let is_said = refusal.message.as_ref().is_some_and(|text| text.contains("enrolment_code"));
    is_said || refusal.lack.as_deref() == Some("enrolment-code")
}

fn is_it_running() -> String {
    format!("is the server running? --server or {SERVER_VARIABLE} says which one to talk to")
}

/// Advice where the server at `asked` says that it is `found`.
fn other_name(asked: &str, found: &str) -> String {
    let operator = format!(
        "the person who runs the server must tell it its name: issuer = {asked:?} (countersign serve \
         --issuer)"
    );
    let is_loopback = |url: &str| url.starts_with("http://") && check_address(url).is_ok();
    if is_loopback(found) && !is_loopback(asked) {
        return format!(
            "the server does not know by which name its clients reach it, for instance through a proxy: \
             {operator}"
        );
    }
    format!(
        "a server goes by one name, to which keys and tokens belong; try: --server {found:?}. If it \
         should go by {asked:?}, {operator}"
    )
}

/// Advice where the certificate of the server is not taken for `reason`, which the TLS library gives.
fn on_certificate(reason: &str) -> Option<&'static str> {
    if reason.contains("not valid for name") {
        return Some(
            "the certificate is for another name: call the server by a name that is in it, or give the \
             server one for this name",
        );
    }
    if reason.contains("expired") || reason.contains("not valid yet") {
        return Some(
            "the server needs a new certificate, unless the clock of this machine is wrong",
        );
    }
    // A root of the same name with another key is tried in vain, and then its algorithm is what is named.
    let is_untrusted = reason.contains("UnsupportedSignatureAlgorithm");
    (is_untrusted || reason.contains("certificate"))
        .then_some("--ca FILE makes a private certificate authority known")
}

/// What one might do about a refusal.
fn advice_on(refusal: &Refusal) -> Option<&'static str> {
    Some(match refusal.code.as_deref()? {
        "enrolment-closed" if wants_code(refusal) => "with a one-time code, try: --code CODE",
        "enrolment-closed" => {
            "no code helps: the person who runs the server lets nobody register (enrolment = \
             \"closed\")"
        }
        "enrolment-code" => {
            "it works once, not for long, and for one name alone if the invitation says so; an \
             administrator makes another: countersign admin invite NAME"
        }
        "key-limit" => {
            "revoke a key that is no longer used: countersign keys list, countersign keys revoke \
             THUMBPRINT. The limits are limits.keys_per_account and limits.revoked_keys_per_account of \
             the server"
        }
        "username-taken" => {
            "choose another name; if it is yours, log in with the key that it was registered with (see \
             `countersign keyring import --help`), or let an administrator make a code for \
             `countersign recover`"
        }
        "key-taken" => {
            "a key belongs to one account only, and one that was revoked never logs in again: make \
             another one, or log in with this one (see `countersign keyring import --help`)"
        }
        "invalid_grant" if refusal.to_string().contains("no live key") => {
            "is that the name of the account, and was this key ever added to it? If so, the key is \
             revoked, or the account disabled or gone; the administrator sees which: countersign admin \
             accounts show NAME, countersign admin keys list NAME"
        }
        "invalid_target" => {
            "the server must know the API: `countersign serve --resource URL`, with the same text: \
             http or https, localhost or 127.0.0.1, the port and a slash at the end all count. If the \
             API goes by another name than its origin, say which: --resource"
        }
        "recovery-code" => {
            "it works once, for one account, and not for long; an administrator makes another: \
             countersign admin invite NAME --recover"
        }
        "last-key" => "add another key first: countersign keys add --new",
        _ => return None,
    })
}

/// The error of a request by a dialect, whose switch is `setting` of the server. If the server does not
/// know the request at all, the dialect is off.
pub(super) fn named_if_off(setting: &str, error: ClientError) -> ClientError {
    match error {
        ClientError::Refused(refusal) if is_unknown(&refusal) => {
            let message = format!(
                "this server does not speak that dialect ({setting} = false); leave out --dialect"
            );
            ClientError::Refused(Refusal { message: Some(message), ..refusal })
        }
        error => error,
    }
}

/// Whether no part of the server knows such a request, or such a proof.
fn is_unknown(refusal: &Refusal) -> bool {
    let said = |text: &str| refusal.message.as_ref().is_some_and(|message| message.contains(text));
    match refusal.code.as_deref() {
        Some("not-found") => said("no such resource"),
        Some("method-not-allowed") => true,
        // A server that takes no JWTs of clients takes one for a token.
        _ => refusal.status == StatusCode::UNAUTHORIZED && said("present it with the DPoP scheme"),
    }
}
