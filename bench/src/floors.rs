//! The floors: programs that do the least that could do the same. None of them uses our code, save
//! for what the product's answer looks like, which they are told.
//!
//! One process has all of them, each behind the product's own method and path, so that product and
//! floor get the very same requests. `PUT /prime` tells it keys and answers beforehand.

mod scheme;
mod server;

pub(crate) mod argon2id;

use std::collections::HashMap;

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

pub(crate) use self::{scheme::Scheme, server::serve};
use crate::{
    bench::Bench,
    load::{Response, exchange, request},
    process::{Place, Server},
};

/// A running floor.
pub(crate) struct Floor {
    pub(crate) server: Server,
}

/// What a floor is to know before it is measured.
pub(crate) struct Prime<'a> {
    pub(crate) scheme: Scheme,
    /// The public keys, as SPKI DER.
    pub(crate) keys: Vec<Vec<u8>>,
    /// Which key is found by what a request has: the access token, the header segment of a JWT, or
    /// the JWT of a session.
    pub(crate) found_by: HashMap<String, usize>,
    /// The nonce of each session, by its JWT.
    pub(crate) nonces: HashMap<String, String>,
    /// The body of every answer.
    pub(crate) answer: &'a str,
}

impl Floor {
    pub(crate) fn start(bench: &Bench) -> anyhow::Result<Self> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.arg("floor");
        let log = bench.run_dir.join("floor.log");
        let server = Server::start(&command, Place::OneCore, &bench.cores, &log)?;
        Ok(Self { server })
    }

    pub(crate) fn prime(&self, prime: &Prime<'_>) -> anyhow::Result<()> {
        let keys = prime.keys.iter().map(|key| BASE64_STANDARD.encode(key));
        let body = json!({
            "scheme": prime.scheme.name(),
            "keys": keys.collect::<Vec<_>>(),
            "found_by": prime.found_by,
            "nonces": prime.nonces,
            "answer": prime.answer,
        });
        let bytes =
            exchange(self.server.address, &request("PUT", "/prime", &[], &body.to_string()))?;
        let (response, _) = Response::parse(&bytes)?.context("not whole")?;
        anyhow::ensure!(response.status == 204, "the floor was not primed: {}", response.status);
        Ok(())
    }
}
