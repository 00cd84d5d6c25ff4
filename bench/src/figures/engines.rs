//! The same server on both engines: PostgreSQL against SQLite.

use countersign_protocol::keys::{Algorithm, NewKey};

use super::{measuring::as_f64, turns::Contestant};
use crate::{
    bench::Bench,
    identity::{Identity, prepare},
    load::{Generator, Pace, median},
    process::Place,
    product::{Product, login, registration},
    table::{Row, Target, Unit},
};

/// Requests that are under way at once.
const CONNECTIONS: usize = 256;
const REQUESTS: usize = 4000;

/// Token requests and protected requests on SQLite, the floor here, and on PostgreSQL, by the processor time of
/// the server alone: what the database spends is on another machine. Then how many a second there are with
/// generator, server and database on all cores.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let place = Place::AllCores;
    let file = Product::start(bench, "on_file", place)?;
    let shared = Product::start_on_postgres(bench, "on_postgres", place)?;
    let both = [Contestant::new(bench, file)?, Contestant::new(bench, shared)?];
    let mut rows = Contestant::compare(bench, &both, |what| match what {
        "token request, ES256, durable" => {
            (format!("{what}, PostgreSQL against SQLite: CPU"), Target::Ratio(1.3))
        }
        _ => (format!("{what}, PostgreSQL against SQLite: CPU"), Target::None),
    })?;
    let [_, shared] = both;
    rows.extend(rates(bench, &shared.product)?);
    Ok(rows)
}

/// How many durable logins and registrations a second there are on PostgreSQL.
fn rates(bench: &Bench, product: &Product) -> anyhow::Result<Vec<Row>> {
    let count = bench.requests(REQUESTS);
    let identity = |name| Identity::new(name, NewKey::Ed25519, Algorithm::EdDsa);
    let (mut registered, mut logged_in) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds() {
        let new = prepare(&bench.cores, count, |number| identity(format!("e-{round}-{number}")))?;
        let requests = prepare(&bench.cores, count, |number| registration(&new[number]))?;
        registered.push(per_second(product, &requests, 201)?);
        let nonce = product.token_nonce()?;
        let requests = prepare(&bench.cores, count, |number| login(&new[number], &nonce))?;
        logged_in.push(per_second(product, &requests, 200)?);
    }
    bench.say(&format!("registrations {registered:.0?}/s, logins {logged_in:.0?}/s"));
    let row = |what: &str, rates: &[f64]| {
        let title = format!("{what}, durable, PostgreSQL, {CONNECTIONS} connections");
        Row::alone(title, Unit::PerSecond, median(rates), Target::None)
    };
    Ok(vec![row("registrations", &registered), row("token requests, Ed25519", &logged_in)])
}

fn per_second(product: &Product, requests: &[Vec<u8>], expected: u16) -> anyhow::Result<f64> {
    let mut generator = Generator::connect(product.server.address, CONNECTIONS)?;
    let run = generator.run(requests, Pace::AsFastAsAnswered, expected, &mut |_, _| {})?;
    Ok(as_f64(requests.len()) / run.elapsed.as_secs_f64())
}
