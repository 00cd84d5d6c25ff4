//! What is refused before anything is verified.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        ParsedPublicKey,
    },
};
use countersign_protocol::keys::{Algorithm, NewKey};
use serde_json::json;

use super::measuring::{as_f64, cpu_per_request};
use crate::{
    bench::Bench,
    identity::{Identity, ORIGIN, fresh_id, now, prepare},
    load::{median, request},
    process::{Place, thread_cpu_time},
    product::{JSON, Product, whoami_at},
    table::{Row, Target, Unit},
};

const REQUESTS: usize = 5000;
const VERIFICATIONS: usize = 2000;

/// A kind of refused requests.
struct Kind<'a> {
    name: &'a str,
    status: u16,
    make: Box<dyn Fn() -> anyhow::Result<Vec<u8>> + Sync + 'a>,
}

/// Requests that are refused for their form, their age or their scheme: each in whole, HTTP
/// included, against one bare verification (ES256).
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let product = Product::start(bench, "refusals", Place::OneCore)?;
    let accounts = ("ec-", 1);
    let identities = product.register(bench, accounts, NewKey::EcP256, Algorithm::Es256)?;
    let tokens = product.log_in(bench, &identities)?;
    let nonce = product.resource_nonce()?;
    let mut rows = Vec::new();
    for kind in kinds(&identities[0], &tokens[0], &nonce) {
        let mut cpu = (Vec::new(), Vec::new());
        for _ in 0..bench.rounds() {
            let requests = prepare(&bench.cores, bench.requests(REQUESTS), |_| (kind.make)())?;
            bench.cores.enter_server(Place::OneCore)?;
            cpu.0.push(verification(bench.requests(VERIFICATIONS))?);
            bench.cores.enter_generator()?;
            cpu.1.push(cpu_per_request(&product.server, &requests, kind.status)?);
        }
        bench.say(&format!("{}: {cpu:.1?}", kind.name));
        let medians = (median(&cpu.0), median(&cpu.1));
        let title = format!("refused: {}: CPU", kind.name);
        rows.push(Row::against(title, Unit::Micros, medians, Target::Ratio(1.0)));
    }
    Ok(rows)
}

fn kinds<'a>(who: &'a Identity, token: &'a str, nonce: &'a str) -> Vec<Kind<'a>> {
    let whoami = |headers: &[&str]| Ok(request("GET", "/v1/whoami", headers, ""));
    let kind = |name, status, make| Kind { name, status, make };
    vec![
        kind("nothing presented", 401, Box::new(move || whoami(&[]))),
        kind("another scheme", 401, Box::new(move || whoami(&["Authorization: Basic YTpi"]))),
        kind(
            "a garbage token",
            401,
            Box::new(move || {
                let garbage = format!("Authorization: DPoP {}", fresh_id().repeat(12));
                whoami(&[&garbage, "DPoP: garbage"])
            }),
        ),
        kind(
            "a garbage proof for a good token",
            401,
            Box::new(move || {
                let proof = format!("DPoP: {}", fresh_id().repeat(12));
                whoami(&[&format!("Authorization: DPoP {token}"), &proof])
            }),
        ),
        kind(
            "a bound token as Bearer",
            401,
            Box::new(move || whoami(&[&format!("Authorization: Bearer {token}")])),
        ),
        kind("an expired proof", 401, Box::new(move || whoami_at(who, token, nonce, now() - 600))),
        kind(
            "an expired self-signed JWT",
            401,
            Box::new(move || {
                let (iat, exp) = (now() - 900, now() - 600);
                let claims = json!({ "sub": who.name, "aud": ORIGIN, "iat": iat, "exp": exp,
                    "jti": fresh_id() });
                whoami(&[&format!("Authorization: Bearer {}", who.self_signed(&claims)?)])
            }),
        ),
        kind(
            "a token request of bad form",
            400,
            Box::new(|| {
                let form = "Content-Type: application/x-www-form-urlencoded";
                let body = format!("assertion={}&assertion=x", fresh_id().repeat(12));
                Ok(request("POST", "/oauth/token", &[form], &body))
            }),
        ),
        kind(
            "a registration of bad form",
            400,
            Box::new(|| {
                let body = format!("{{\"username\":\"{}\",\"username\":1}}", fresh_id());
                Ok(request("POST", "/v1/accounts", &[JSON], &body))
            }),
        ),
    ]
}

/// The CPU time of one ES256 verification with a parsed key, in microseconds.
fn verification(count: usize) -> anyhow::Result<f64> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())?;
    let message = [b'x'; 700];
    let signature = pair.sign(&SystemRandom::new(), &message)?;
    let begun = thread_cpu_time()?;
    for _ in 0..count {
        key.verify_sig(std::hint::black_box(&message), signature.as_ref())?;
    }
    let used = thread_cpu_time()?.saturating_sub(begun);
    Ok(used.as_secs_f64() * 1e6 / as_f64(count))
}
