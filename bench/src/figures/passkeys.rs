//! Logins with a passkey: one request more than a login by assertion, for the options.

use anyhow::Context as _;
use countersign_protocol::keys::{Algorithm, NewKey};
use serde_json::Value;

use super::measuring::{cpu_per_request, cpu_while_answering};
use crate::{
    bench::Bench,
    identity::{Identity, prepare},
    load::{Response, median},
    passkey::Passkey,
    process::Place,
    product::{
        Product, Purpose, collect, login, passkey_login, passkey_options, passkey_registration,
    },
    table::{Row, Target, Unit},
};

const REQUESTS: usize = 3000;

/// Somebody with a passkey, and a browser that the server does not know.
struct Person {
    passkey: Passkey,
    user_handle: String,
    browser: Identity,
}

/// `POST /v1/passkeys/options` and `POST /oauth/token` with the answer of a passkey, against
/// `POST /oauth/token` with an assertion, all by ES256 and at the same server.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let product = Product::start(bench, "passkeys", Place::OneCore)?;
    let keys =
        product.register(bench, ("keys-", bench.clients()), NewKey::EcP256, Algorithm::Es256)?;
    let people = register(bench, &product)?;
    let mut cpu = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=bench.rounds() {
        let nonce = product.token_nonce()?;
        let requests = prepare(&bench.cores, bench.requests(REQUESTS), |number| {
            login(&keys[number % keys.len()], &nonce)
        })?;
        let by_assertion = cpu_per_request(&product.server, &requests, 200)?;
        let (options, token) = log_in(bench, &product, &people, &nonce)?;
        // The first round is there to warm up.
        if round > 0 {
            cpu.0.push(by_assertion);
            cpu.1.push(options + token);
            cpu.2.push(token);
        }
    }
    bench.say(&format!("passkeys: {cpu:.0?}"));
    let (by_assertion, whole, token) = (median(&cpu.0), median(&cpu.1), median(&cpu.2));
    let micros = Unit::Micros;
    Ok(vec![
        Row::against(
            "login with a passkey, ES256, against one by assertion: CPU",
            micros,
            (by_assertion, whole),
            Target::Ratio(1.3),
        ),
        Row::against(
            "(the same without the request for options: CPU)",
            micros,
            (by_assertion, token),
            Target::None,
        ),
    ])
}

/// Registers people with passkeys. Their accounts are made by keys that are not used again.
fn register(bench: &Bench, product: &Product) -> anyhow::Result<Vec<Person>> {
    let count = bench.clients();
    let new = |name| Identity::new(name, NewKey::EcP256, Algorithm::Es256);
    let keys = prepare(&bench.cores, count, |number| new(format!("people-{number}")))?;
    let requests: Vec<_> = keys.iter().map(|key| passkey_options(key, Purpose::Register)).collect();
    let options = collect(&product.server, &requests, 200, |response| {
        Ok(String::from_utf8(response.body.to_vec())?)
    })?;
    let people = prepare(&bench.cores, count, |number| {
        let options: Value = serde_json::from_str(&options[number])?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no options");
        let passkey = Passkey::new()?;
        let made = passkey.create(&text(&options["challenge"])?)?;
        let registration = passkey_registration(&keys[number], &made)?;
        let browser = new(format!("browser-{number}"))?;
        let user_handle = text(&options["user"]["id"])?;
        Ok((registration, Person { passkey, user_handle, browser }))
    })?;
    let (requests, people): (Vec<_>, Vec<_>) = people.into_iter().unzip();
    collect(&product.server, &requests, 201, |_| Ok(String::new()))?;
    Ok(people)
}

/// The CPU time of a request for options and of the request for a token that follows.
fn log_in(
    bench: &Bench,
    product: &Product,
    people: &[Person],
    nonce: &str,
) -> anyhow::Result<(f64, f64)> {
    let count = bench.requests(REQUESTS);
    let person = |number: usize| &people[number % people.len()];
    let options = |number| passkey_options(&person(number).browser, Purpose::SignIn);
    let requests: Vec<_> = (0..count).map(options).collect();
    let mut bodies = vec![Vec::new(); count];
    let mut keep = |index: usize, response: &Response<'_>| bodies[index] = response.body.to_vec();
    let options = cpu_while_answering(&product.server, &requests, 200, &mut keep)?;
    let requests = prepare(&bench.cores, count, |number| {
        let options: Value = serde_json::from_slice(&bodies[number])?;
        let challenge = options["challenge"].as_str().context("no challenge")?;
        let Person { passkey, user_handle, browser } = person(number);
        passkey_login(browser, nonce, &passkey.answer(challenge, user_handle)?)
    })?;
    Ok((options, cpu_per_request(&product.server, &requests, 200)?))
}
