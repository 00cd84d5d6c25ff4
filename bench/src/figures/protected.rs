//! Protected requests: the price of a verification.

use std::{collections::HashMap, iter};

use anyhow::Context as _;
use countersign_protocol::keys::{Algorithm, NewKey};
use serde_json::json;

use super::measuring::{cpu_per_request, p99};
use crate::{
    bench::Bench,
    floors::{Floor, Prime, Scheme},
    identity::{Identity, prepare},
    load::{Response, exchange, median, request},
    process::{Place, Server},
    product::{JSON, Product, collect, whoami as whoami_request},
    table::{Row, Target, Unit},
};

/// Requests of one round: for CPU time, and for latencies.
const FOR_CPU: usize = 6000;
const FOR_LATENCY: usize = 5000;
/// How much of the product's core is used while latencies are measured.
const UTILISATION: f64 = 0.5;

/// `GET /v1/whoami` with a token that is known already and a DPoP proof with nonce.
pub(super) fn whoami(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let kinds = [
        ("ES256", NewKey::EcP256, Algorithm::Es256, Scheme::Es256),
        ("Ed25519", NewKey::Ed25519, Algorithm::EdDsa, Scheme::Ed25519),
        ("PS256, RSA-2048", NewKey::Rsa2048, Algorithm::Ps256, Scheme::Ps256),
    ];
    let floor = Floor::start(bench)?;
    let product = Product::start(bench, "whoami", Place::OneCore)?;
    let mut rows = Vec::new();
    for (name, kind, algorithm, scheme) in kinds {
        let accounts = (&*format!("{kind:?}-").to_lowercase(), bench.clients());
        let identities = product.register(bench, accounts, kind, algorithm)?;
        let tokens = product.log_in(bench, &identities)?;
        let sign = |count: usize| {
            let nonce = product.resource_nonce()?;
            prepare(&bench.cores, count, |number| {
                let who = number % identities.len();
                whoami_request(&identities[who], &tokens[who], &nonce)
            })
        };
        floor.prime(&Prime {
            scheme,
            keys: spki(&identities),
            found_by: tokens.iter().cloned().zip(0..).collect(),
            nonces: HashMap::new(),
            answer: &answer_to(&product.server, &sign(1)?[0])?,
        })?;
        let title = format!("whoami, DPoP {name}");
        rows.extend(in_turn(bench, &title, (&floor.server, &product.server), sign)?);
    }
    Ok(rows)
}

/// `POST /protected` of *signjwt*: RSA-2048, PSS with the greatest salt.
pub(super) fn signjwt(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let floor = Floor::start(bench)?;
    let product = Product::start(bench, "signjwt", Place::OneCore)?;
    let accounts = ("rsa-", bench.clients());
    let identities = product.register(bench, accounts, NewKey::Rsa2048, Algorithm::Ps256)?;
    let example = open_sessions(&product.server, &identities, 1)?;
    let answer = answer_to(&product.server, &signed(&identities[0], &example[0])?)?;
    let sign = |count: usize| {
        // A session has one nonce at a time, so each request has a session of its own. The first
        // request of a session is its login, which goes to the audit trail, and by the second the
        // session becomes one that is in use. So the third one is measured.
        let sessions = begun_sessions(bench, &product.server, &identities, count)?;
        let names = sessions.iter().map(|(jwt, _)| jwt.clone());
        floor.prime(&Prime {
            scheme: Scheme::Ps256MaxSalt,
            keys: spki(&identities),
            found_by: names.zip((0..identities.len()).cycle()).collect(),
            nonces: sessions.iter().cloned().collect(),
            answer: &answer,
        })?;
        prepare(&bench.cores, count, |number| {
            signed(&identities[number % identities.len()], &sessions[number])
        })
    };
    let title = "/protected of signjwt, RSA-2048 PSS";
    in_turn(bench, title, (&floor.server, &product.server), sign)
}

/// Opens `count` sessions, of each identity in turn: JWT and first nonce of each.
fn open_sessions(
    server: &Server,
    identities: &[Identity],
    count: usize,
) -> anyhow::Result<Vec<(String, String)>> {
    let logins: Vec<_> = identities
        .iter()
        .cycle()
        .take(count)
        .map(|who| request("POST", "/login", &[JSON], &json!({ "user_id": who.name }).to_string()))
        .collect();
    let both = |answer: &Response<'_>| Ok(answer.text("jwt")? + " " + &answer.text("nonce")?);
    let sessions = collect(server, &logins, 200, both)?;
    let split = |text: String| text.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
    sessions.into_iter().map(split).collect::<Option<_>>().context("no session")
}

/// The same, with two requests of each sent: JWT and third nonce.
pub(super) fn begun_sessions(
    bench: &Bench,
    server: &Server,
    identities: &[Identity],
    count: usize,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut sessions = open_sessions(server, identities, count)?;
    for _ in 0..2 {
        let messages = prepare(&bench.cores, count, |number| {
            signed(&identities[number % identities.len()], &sessions[number])
        })?;
        let nonces = collect(server, &messages, 200, |answer| answer.text("nonce"))?;
        sessions = sessions.into_iter().map(|(jwt, _)| jwt).zip(nonces).collect();
    }
    Ok(sessions)
}

/// `POST /protected` with the newest nonce of a session.
pub(super) fn signed(who: &Identity, (jwt, nonce): &(String, String)) -> anyhow::Result<Vec<u8>> {
    let body = json!({ "jwt": jwt, "signed_message": who.signed_message(nonce, jwt)? });
    Ok(request("POST", "/protected", &[JSON], &body.to_string()))
}

/// Measures floor and product in turn with the very same requests, of which `sign` makes new ones
/// for each round.
fn in_turn(
    bench: &Bench,
    title: &str,
    (floor, product): (&Server, &Server),
    sign: impl Fn(usize) -> anyhow::Result<Vec<Vec<u8>>>,
) -> anyhow::Result<Vec<Row>> {
    let (for_cpu, for_latency) = (bench.requests(FOR_CPU), bench.requests(FOR_LATENCY));
    let warm_up = sign(for_cpu / 4)?;
    cpu_per_request(floor, &warm_up, 200)?;
    let cost = cpu_per_request(product, &warm_up, 200)?;
    let per_second = UTILISATION * 1e6 / cost;
    let mut cpu = (Vec::new(), Vec::new());
    let mut late = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds() {
        let requests = sign(for_cpu + for_latency)?;
        let (first, second) = requests.split_at(for_cpu);
        cpu.0.push(cpu_per_request(floor, first, 200)?);
        cpu.1.push(cpu_per_request(product, first, 200)?);
        late.0.extend(p99(floor, second, per_second)?);
        late.1.extend(p99(product, second, per_second)?);
    }
    let medians = |(floor, ours): &(Vec<f64>, Vec<f64>)| (median(floor), median(ours));
    bench.say(&format!("{title}: {cpu:.0?} {late:.0?}"));
    let latency = format!("{title}: p99 at {per_second:.0}/s");
    Ok(vec![
        Row::against(format!("{title}: CPU"), Unit::Micros, medians(&cpu), Target::Ratio(1.25)),
        Row::against(latency, Unit::Micros, medians(&late), Target::Ratio(1.5)),
    ])
}

/// The body of the product's answer to `request`, which is thereby used up.
fn answer_to(server: &Server, request: &[u8]) -> anyhow::Result<String> {
    let bytes = exchange(server.address, request)?;
    let (response, _) = Response::parse(&bytes)?.context("not whole")?;
    anyhow::ensure!(response.status == 200, "refused: {}", String::from_utf8_lossy(&bytes));
    Ok(String::from_utf8(response.body.to_vec())?)
}

/// The public keys as the floors take them.
pub(super) fn spki(identities: &[Identity]) -> Vec<Vec<u8>> {
    identities.iter().map(|who| who.key.public_key().to_spki_der()).collect()
}

/// Which key is found by each of `names`.
pub(super) fn found_by<'a>(
    names: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = (String, usize)> {
    iter::zip(names.map(str::to_owned), 0..)
}
