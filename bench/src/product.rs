//! The product under measurement: `countersign serve`, the binary, as it is shipped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use countersign_protocol::{
    digest::sha256,
    keys::{Algorithm, NewKey},
};
use serde_json::{Value, json};

use crate::{
    bench::{Bench, Effort},
    identity::{Identity, ORIGIN, Target, now, prepare},
    load::{Generator, Pace, Response, exchange, request},
    process::{Place, Server},
};

/// The grant of RFC 7523.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The grant of passkeys.
const WEBAUTHN_GRANT: &str = "urn:countersign:params:oauth:grant-type:webauthn";

/// How long a start may take.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// A running server with a data directory of its own.
pub(crate) struct Product {
    pub(crate) server: Server,
    data_dir: PathBuf,
}

impl Product {
    /// Starts one with an empty data directory, and waits until it is at rest.
    pub(crate) fn start(bench: &Bench, name: &str, place: Place) -> anyhow::Result<Self> {
        let data_dir = bench.run_dir.join(name);
        if data_dir.exists() {
            fs::remove_dir_all(&data_dir)?;
        }
        let product = Self::open(bench, data_dir, place)?;
        if bench.effort != Effort::Smoke {
            product.server.settle()?;
        }
        Ok(product)
    }

    /// Starts one on a data directory that may be there. Everything is as by default, save that
    /// rate limits and shares are off, because all clients here have one address.
    pub(crate) fn open(bench: &Bench, data_dir: PathBuf, place: Place) -> anyhow::Result<Self> {
        Self::serve(bench, data_dir, place, None)
    }

    /// Starts one on a new database of a PostgreSQL server, and waits until it is at rest.
    pub(crate) fn start_on_postgres(
        bench: &Bench,
        name: &str,
        place: Place,
    ) -> anyhow::Result<Self> {
        let url = new_database(bench, name)?;
        let product = Self::open_on_postgres(bench, name, place, &url)?;
        if bench.effort != Effort::Smoke {
            product.server.settle()?;
        }
        Ok(product)
    }

    /// Starts one on a database that is there.
    pub(crate) fn open_on_postgres(
        bench: &Bench,
        name: &str,
        place: Place,
        url: &str,
    ) -> anyhow::Result<Self> {
        let data_dir = bench.run_dir.join(name);
        fs::create_dir_all(&data_dir)?;
        Self::serve(bench, data_dir, place, Some(url))
    }

    fn serve(
        bench: &Bench,
        data_dir: PathBuf,
        place: Place,
        database: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(&bench.countersign);
        command
            .args(["serve", "--issuer", ORIGIN, "--data-dir"])
            .arg(&data_dir)
            .current_dir(&bench.run_dir)
            .env("COUNTERSIGN_RATE_LIMITS", "off")
            .env("COUNTERSIGN_LIMITS_CLIENT_SHARE", "100")
            .env("COUNTERSIGN_DIALECTS_AUTH_RATE_LIMIT", "off");
        if let Some(url) = database {
            work_on(&mut command, url);
        }
        let log = data_dir.with_extension("log");
        let server = Server::start(&command, place, &bench.cores, &log)?;
        Ok(Self { server, data_dir })
    }

    /// Waits until it is ready, and returns how long after the start of its process that was.
    pub(crate) fn ready_in(&self) -> anyhow::Result<Duration> {
        let readyz = request("GET", "/readyz", &[], "");
        loop {
            let bytes = exchange(self.server.address, &readyz)?;
            let took = self.server.begun.elapsed();
            let (response, _) = Response::parse(&bytes)?.context("not whole")?;
            if response.status == 200 {
                return Ok(took);
            }
            ensure!(took < READY_WITHIN, "not ready: {}", String::from_utf8_lossy(response.body));
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Registers accounts with new keys, called PREFIX0, PREFIX1, ….
    pub(crate) fn register(
        &self,
        bench: &Bench,
        (prefix, count): (&str, usize),
        kind: NewKey,
        algorithm: Algorithm,
    ) -> anyhow::Result<Vec<Identity>> {
        let make = |number| Identity::new(format!("{prefix}{number}"), kind, algorithm);
        let identities = prepare(&bench.cores, count, make)?;
        let requests = prepare(&bench.cores, count, |number| registration(&identities[number]))?;
        Generator::connect(self.server.address, 16)?.run(
            &requests,
            Pace::AsFastAsAnswered,
            201,
            &mut |_, _| {},
        )?;
        Ok(identities)
    }

    /// Logs each of `identities` in, and returns their tokens.
    pub(crate) fn log_in(
        &self,
        bench: &Bench,
        identities: &[Identity],
    ) -> anyhow::Result<Vec<String>> {
        let nonce = self.token_nonce()?;
        let requests =
            prepare(&bench.cores, identities.len(), |number| login(&identities[number], &nonce))?;
        collect(&self.server, &requests, 200, |response| response.text("access_token"))
    }

    /// A nonce for proofs at the token endpoint.
    pub(crate) fn token_nonce(&self) -> anyhow::Result<String> {
        self.nonce(&request("POST", "/oauth/token", &[FORM], "grant_type=x"))
    }

    /// A nonce for proofs at protected resources.
    pub(crate) fn resource_nonce(&self) -> anyhow::Result<String> {
        self.nonce(&request("GET", "/v1/whoami", &[], ""))
    }

    fn nonce(&self, request: &[u8]) -> anyhow::Result<String> {
        let bytes = exchange(self.server.address, request)?;
        let (response, _) = Response::parse(&bytes)?.context("not whole")?;
        Ok(response.header("dpop-nonce").context("no nonce")?.to_owned())
    }
}

/// Makes a database with the tables of this binary on the PostgreSQL server, in place of one of that name,
/// and returns its URL.
pub(crate) fn new_database(bench: &Bench, name: &str) -> anyhow::Result<String> {
    let url = bench.postgres()?.new_database(name)?;
    let mut command = Command::new(&bench.countersign);
    command.args(["admin", "init", "--issuer", ORIGIN, "--data-dir"]).arg(bench.run_dir.join(name));
    work_on(&mut command, &url);
    let done = command.output()?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(url)
}

/// On a database with the master key that all databases of benchmarks have.
fn work_on(command: &mut Command, url: &str) {
    let master_key = BASE64_STANDARD.encode(sha256(&[b"master key of the benchmarks"]));
    command.env("COUNTERSIGN_DATABASE_URL", url).env("COUNTERSIGN_MASTER_KEY", master_key);
}

/// Sends `requests` to `server` and takes something out of each answer.
pub(crate) fn collect(
    server: &Server,
    requests: &[Vec<u8>],
    expected: u16,
    take: impl Fn(&Response<'_>) -> anyhow::Result<String>,
) -> anyhow::Result<Vec<String>> {
    let mut taken: Vec<_> = (0..requests.len()).map(|_| Ok(String::new())).collect();
    let mut keep = |index: usize, response: &Response<'_>| taken[index] = take(response);
    let mut generator = Generator::connect(server.address, 16)?;
    generator.run(requests, Pace::AsFastAsAnswered, expected, &mut keep)?;
    taken.into_iter().collect()
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
/// The header of a request with a JSON body.
pub(crate) const JSON: &str = "Content-Type: application/json";

/// `POST /v1/accounts` by the identity's key.
pub(crate) fn registration(identity: &Identity) -> anyhow::Result<Vec<u8>> {
    registration_with(identity, json!({}))
}

/// The same with more members.
fn registration_with(identity: &Identity, mut body: Value) -> anyhow::Result<Vec<u8>> {
    let path = "/v1/accounts";
    let target = Target { method: "POST", path, nonce: None, token: None, issued_at: now() };
    let proof = format!("DPoP: {}", identity.proof(&target)?);
    body["username"] = identity.name.clone().into();
    body["public_key"] = Value::Object(identity.key.public_key().to_jwk());
    Ok(request("POST", path, &[JSON, &proof], &body.to_string()))
}

/// `POST /oauth/token` by the identity's key.
pub(crate) fn login(identity: &Identity, nonce: &str) -> anyhow::Result<Vec<u8>> {
    let body = format!("grant_type={GRANT}&assertion={}", identity.assertion()?);
    token_request(identity, nonce, &body)
}

fn token_request(identity: &Identity, nonce: &str, body: &str) -> anyhow::Result<Vec<u8>> {
    let path = "/oauth/token";
    let target = Target { method: "POST", path, nonce: Some(nonce), token: None, issued_at: now() };
    let proof = format!("DPoP: {}", identity.proof(&target)?);
    Ok(request("POST", path, &[FORM, &proof], body))
}

/// What options for a passkey are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// A login.
    SignIn,
    /// The registration of an account with the identity's name.
    Register,
}

/// `POST /v1/passkeys/options` for the identity's key.
pub(crate) fn passkey_options(identity: &Identity, purpose: Purpose) -> Vec<u8> {
    let key = identity.key.public_key().thumbprint().to_string();
    let body = match purpose {
        Purpose::SignIn => json!({ "purpose": "sign-in", "dpop_jkt": key }),
        Purpose::Register => {
            json!({ "purpose": "register", "dpop_jkt": key, "username": identity.name })
        }
    };
    request("POST", "/v1/passkeys/options", &[JSON], &body.to_string())
}

/// `POST /v1/accounts` by the identity's key, with the response of a new passkey.
pub(crate) fn passkey_registration(
    identity: &Identity,
    passkey: &Value,
) -> anyhow::Result<Vec<u8>> {
    registration_with(identity, json!({ "passkey": passkey }))
}

/// `POST /oauth/token` with the answer of a passkey, for the identity's key.
pub(crate) fn passkey_login(
    identity: &Identity,
    nonce: &str,
    answer: &str,
) -> anyhow::Result<Vec<u8>> {
    token_request(identity, nonce, &format!("grant_type={WEBAUTHN_GRANT}&assertion={answer}"))
}

/// `GET /v1/whoami` with a token and a proof.
pub(crate) fn whoami(identity: &Identity, token: &str, nonce: &str) -> anyhow::Result<Vec<u8>> {
    whoami_at(identity, token, nonce, now())
}

/// The same with a proof of that age.
pub(crate) fn whoami_at(
    identity: &Identity,
    token: &str,
    nonce: &str,
    issued_at: u64,
) -> anyhow::Result<Vec<u8>> {
    let path = "/v1/whoami";
    let target = Target { method: "GET", path, nonce: Some(nonce), token: Some(token), issued_at };
    let proof = format!("DPoP: {}", identity.proof(&target)?);
    Ok(request("GET", path, &[&format!("Authorization: DPoP {token}"), &proof], ""))
}
