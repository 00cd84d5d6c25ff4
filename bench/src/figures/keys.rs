//! The JWKS: static, as far as anybody can tell.

use std::collections::HashMap;

use anyhow::Context as _;

use super::measuring::cpu_per_request;
use crate::{
    bench::Bench,
    floors::{Floor, Prime, Scheme},
    load::{Response, exchange, median, request},
    process::Place,
    product::Product,
    table::{Row, Target, Unit},
};

const REQUESTS: usize = 20_000;

/// `GET /.well-known/jwks.json`. The floor answers the same bytes.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let floor = Floor::start(bench)?;
    let product = Product::start(bench, "jwks", Place::OneCore)?;
    let get = request("GET", "/.well-known/jwks.json", &[], "");
    let bytes = exchange(product.server.address, &get)?;
    let (response, _) = Response::parse(&bytes)?.context("not whole")?;
    floor.prime(&Prime {
        scheme: Scheme::Es256,
        keys: Vec::new(),
        found_by: HashMap::new(),
        nonces: HashMap::new(),
        answer: std::str::from_utf8(response.body)?,
    })?;
    let requests = vec![get; bench.requests(REQUESTS)];
    let post = request("POST", "/bare", &[], &"x".repeat(700));
    let posts = vec![post; bench.requests(REQUESTS)];
    let mut cpu = (Vec::new(), Vec::new());
    let mut bare_post = Vec::new();
    for round in 0..=bench.rounds() {
        let measured = (
            cpu_per_request(&floor.server, &requests, 200)?,
            cpu_per_request(&product.server, &requests, 200)?,
        );
        // The first round is there to warm up.
        if round > 0 {
            cpu.0.push(measured.0);
            cpu.1.push(measured.1);
            bare_post.push(cpu_per_request(&floor.server, &posts, 200)?);
        }
    }
    bench.say(&format!("jwks: {cpu:.1?}"));
    let medians = (median(&cpu.0), median(&cpu.1));
    let bare = median(&bare_post);
    Ok(vec![
        Row::against("jwks.json: CPU", Unit::Micros, medians, Target::Ratio(1.3)),
        Row::alone("(bare axum, POST of 700 bytes: CPU)", Unit::Micros, bare, Target::None),
    ])
}
