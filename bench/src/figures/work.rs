//! The most that one request can cost, whatever strangers stored.
//!
//! An account is prepared as an attacker would: sixteen live keys, all but one RSA of 4096 bits, and
//! eighteen thousand revoked ones. The server cannot tell that nobody has the private halves. Then
//! each way to present a signature gets one that is by none of them, without saying by which key.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use countersign_protocol::{
    digest::sha256,
    keys::{Algorithm, KeyPolicy, NewKey, PublicKey},
};
use rusqlite::{Connection, Transaction, params};
use serde_json::{Value, json};

use super::measuring::cpu_per_request;
use crate::{
    bench::Bench,
    identity::{Identity, ORIGIN, Target as ProofTarget, fresh_id, now},
    load::{Generator, Pace, exchange, request},
    process::Place,
    product::{JSON, Product, collect},
    table::{Row, Target, Unit},
};

/// Live keys beside the one that the account was registered with: as many as there may be.
const LIVE: u32 = 15;
const REVOKED: u32 = 18_000;
/// Of what was revoked, so many are kept whole.
const REVOKED_WHOLE: u32 = 32;
const RSA_BYTES: usize = 512;
const REQUESTS: usize = 200;
const AT_ONCE: usize = 200;
const FLOOD: usize = 4_000;
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const NAME: &str = "mallory0";

/// One way to make the server compare a signature with the account's keys.
struct Way {
    name: &'static str,
    status: u16,
    requests: Vec<Vec<u8>>,
}

/// The CPU time of the most expensive request of each kind, and how long `/healthz` takes while two
/// hundred of them are under way.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let product = Product::start(bench, "work", Place::OneCore)?;
    let kind = (NewKey::EcP384, Algorithm::Es384);
    let identities = product.register(bench, ("mallory", 1), kind.0, kind.1)?;
    let mallory = identities.first().context("one was registered")?;
    let tokens = product.log_in(bench, &identities)?;
    prepare_account(&product)?;
    let ways = ways(bench, &product, mallory, &tokens[0])?;
    let mut rows = Vec::new();
    for way in &ways {
        let cpu = cpu_per_request(&product.server, &way.requests, way.status)? / 1e3;
        bench.say(&format!("{}: {cpu:.2} ms", way.name));
        let title = format!("worst request to {}: CPU", way.name);
        rows.push(Row::alone(title, Unit::Millis, cpu, Target::AtMost(5.0)));
    }
    // What carries a proof works once, so it cannot be sent again and again.
    for way in ways.iter().filter(|way| !way.name.ends_with("/v1/keys")) {
        let slowest = healthz_among(bench, &product, way)?;
        bench.say(&format!("/healthz among {}: {slowest:.1} ms", way.name));
        let title = format!("/healthz among {AT_ONCE} at once to {}: slowest", way.name);
        rows.push(Row::alone(title, Unit::Millis, slowest, Target::AtMost(50.0)));
    }
    Ok(rows)
}

/// Gives the account the keys, as rows: to register them would take long and measure nothing.
fn prepare_account(product: &Product) -> anyhow::Result<()> {
    let mut database = Connection::open(product.data_dir().join("countersign.db"))?;
    let transaction = database.transaction()?;
    let user_id: i64 = transaction.query_row(
        "SELECT user_id FROM accounts WHERE username_folded = ?",
        [NAME],
        |row| row.get(0),
    )?;
    for number in 0..LIVE + REVOKED_WHOLE {
        let revoked_at = (number >= LIVE).then(|| i64::from(number));
        insert_key(&transaction, user_id, &made_up_key(number)?, revoked_at)?;
    }
    let revoked =
        "INSERT INTO revoked_thumbprints(thumbprint, user_id, revoked_at) VALUES (?, ?, ?)";
    for number in REVOKED_WHOLE..REVOKED {
        let thumbprint = sha256(&[b"revoked", &number.to_be_bytes()]);
        transaction.prepare_cached(revoked)?.execute(params![thumbprint, user_id, number])?;
    }
    transaction.commit()?;
    // The server looks for changes by others four times a second.
    thread::sleep(Duration::from_secs(1));
    Ok(())
}

/// An RSA key of 4096 bits that nobody has: its modulus is made of hashes.
fn made_up_key(number: u32) -> anyhow::Result<PublicKey> {
    let hash = |part: u32| sha256(&[b"no key", &number.to_be_bytes(), &part.to_be_bytes()]);
    let mut modulus: Vec<u8> = (0..16).flat_map(hash).collect();
    modulus[0] |= 0x80;
    modulus[RSA_BYTES - 1] |= 1;
    let jwk = json!({ "kty": "RSA", "e": "AQAB", "n": BASE64_URL_SAFE_NO_PAD.encode(modulus) });
    let jwk = jwk.as_object().context("it is an object")?;
    Ok(PublicKey::from_jwk(jwk, &KeyPolicy::default())?)
}

fn insert_key(
    database: &Transaction<'_>,
    user_id: i64,
    key: &PublicKey,
    revoked_at: Option<i64>,
) -> anyhow::Result<()> {
    let insert = "INSERT INTO credentials(thumbprint, user_id, spki, algorithms, label, created_at,
        revoked_at) VALUES (?, ?, ?, 'RS256 PS256', 'made up', 1, ?)";
    let thumbprint = key.thumbprint();
    let values = params![thumbprint.as_bytes(), user_id, key.to_spki_der(), revoked_at];
    database.prepare_cached(insert)?.execute(values)?;
    Ok(())
}

fn ways(
    bench: &Bench,
    product: &Product,
    mallory: &Identity,
    token: &str,
) -> anyhow::Result<Vec<Way>> {
    let count = bench.requests(REQUESTS);
    let many = |make: &dyn Fn() -> anyhow::Result<Vec<u8>>| {
        (0..count).map(|_| make()).collect::<anyhow::Result<Vec<_>>>()
    };
    let wrong = BASE64_STANDARD.encode([0x5a; RSA_BYTES]);
    let proposal = json!({ "proposal": wrong }).to_string();
    let authenticate = format!("/authenticate/{NAME}");
    let login = json!({ "user_id": NAME }).to_string();
    let login = vec![request("POST", "/login", &[JSON], &login); count];
    let sessions = collect(&product.server, &login, 200, |response| response.text("jwt"))?;
    let protected = |jwt: &String| {
        let body = json!({ "jwt": jwt, "signed_message": wrong }).to_string();
        request("POST", "/protected", &[JSON], &body)
    };
    let nonce = product.token_nonce()?;
    let resource_nonce = product.resource_nonce()?;
    // By a key that is not the account's, so that all of those are compared with.
    let stranger = Identity::new("stranger".to_owned(), NewKey::EcP384, Algorithm::Es384)?;
    let grant = || {
        let proof = stranger.proof(&target("POST", "/oauth/token", &nonce, None))?;
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let body = format!("grant_type={grant}&assertion={}", assertion());
        Ok(request("POST", "/oauth/token", &[FORM, &format!("DPoP: {proof}")], &body))
    };
    let introspection = || {
        let by = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let body = format!("token=x&client_assertion_type={by}&client_assertion={}", assertion());
        Ok(request("POST", "/oauth/introspect", &[FORM], &body))
    };
    let self_signed = || {
        let claims = json!({ "sub": NAME, "iat": now(), "exp": now() + 60, "jti": fresh_id() });
        let authorization = format!("Authorization: Bearer {}", jwt_by_nobody(&claims));
        Ok(request("GET", "/v1/whoami", &[&authorization], ""))
    };
    let new_key = Value::Object(made_up_key(u32::MAX)?.to_jwk());
    let addition = || {
        let proof = mallory.proof(&target("POST", "/v1/keys", &resource_nonce, Some(token)))?;
        let headers = [&format!("Authorization: DPoP {token}"), &format!("DPoP: {proof}")];
        let claims = json!({
            "jti": fresh_id(), "htm": "POST", "htu": format!("{ORIGIN}/v1/keys"), "iat": now(),
            "sub": NAME,
        });
        let header = json!({ "typ": "dpop+jwt", "alg": "RS256", "jwk": new_key });
        let proof = signed_by_nobody(&header, &claims);
        let body = json!({ "public_key": new_key, "new_key_proof": proof }).to_string();
        Ok(request("POST", "/v1/keys", &[JSON, headers[0], headers[1]], &body))
    };
    let list = || {
        let proof = mallory.proof(&target("GET", "/v1/keys", &resource_nonce, Some(token)))?;
        let headers = [&format!("Authorization: DPoP {token}"), &format!("DPoP: {proof}")];
        Ok(request("GET", "/v1/keys", &[headers[0], headers[1]], ""))
    };
    let challenge = || Ok(request("POST", &authenticate, &[JSON], &proposal));
    let way = |name, status, requests| Way { name, status, requests };
    Ok(vec![
        way("/authenticate", 401, many(&challenge)?),
        way("whoami, self-signed", 401, many(&self_signed)?),
        way("/protected (signjwt)", 403, sessions.iter().map(protected).collect()),
        way("/oauth/token", 400, many(&grant)?),
        way("/oauth/introspect", 401, many(&introspection)?),
        way("GET /v1/keys", 200, many(&list)?),
        way("POST /v1/keys", 403, many(&addition)?),
    ])
}

fn target<'a>(
    method: &'a str,
    path: &'a str,
    nonce: &'a str,
    token: Option<&'a str>,
) -> ProofTarget<'a> {
    ProofTarget { method, path, nonce: Some(nonce), token, issued_at: now() }
}

/// An assertion that names no key.
fn assertion() -> String {
    let iat = now();
    jwt_by_nobody(&json!({
        "iss": NAME, "sub": NAME, "aud": ORIGIN, "iat": iat, "exp": iat + 240, "jti": fresh_id(),
    }))
}

fn jwt_by_nobody(claims: &Value) -> String {
    signed_by_nobody(&json!({ "typ": "JWT", "alg": "RS256" }), claims)
}

/// A JWT with a signature of the right length.
fn signed_by_nobody(header: &Value, claims: &Value) -> String {
    let segment = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signature = BASE64_URL_SAFE_NO_PAD.encode([0x5a; RSA_BYTES]);
    format!("{}.{}.{signature}", segment(header), segment(claims))
}

/// The slowest of many `/healthz`, in milliseconds, while others send the worst request without a
/// pause.
fn healthz_among(bench: &Bench, product: &Product, worst: &Way) -> anyhow::Result<f64> {
    let over = AtomicBool::new(false);
    let flood = bench.requests(FLOOD).max(2 * AT_ONCE);
    let address = product.server.address;
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut generator = Generator::connect(address, AT_ONCE)?;
            let requests: Vec<_> = worst.requests.iter().cycle().take(flood).cloned().collect();
            let run =
                generator.run(&requests, Pace::AsFastAsAnswered, worst.status, &mut |_, _| {});
            over.store(true, Ordering::Relaxed);
            run.map(drop)
        });
        let healthz = request("GET", "/healthz", &[], "");
        let mut slowest = Duration::ZERO;
        let mut asked = 0_usize;
        while !over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            exchange(address, &healthz)?;
            slowest = slowest.max(begun.elapsed());
            asked += 1;
            thread::sleep(Duration::from_millis(5));
        }
        flood.join().map_err(|_| anyhow::anyhow!("the flood panicked"))??;
        anyhow::ensure!(asked > 1, "the flood was over at once");
        Ok(slowest.as_secs_f64() * 1e3)
    })
}
