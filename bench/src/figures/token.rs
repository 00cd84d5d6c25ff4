//! Logins: two verifications and a signature.

use std::collections::HashMap;

use countersign_protocol::keys::{Algorithm, NewKey};

use super::{
    measuring::cpu_per_request,
    protected::{found_by, spki},
};
use crate::{
    bench::Bench,
    floors::{Floor, Prime, Scheme},
    identity::{Identity, prepare},
    load::median,
    process::Place,
    product::{Product, login},
    table::{Row, Target, Unit},
};

const REQUESTS: usize = 3000;

/// `POST /oauth/token`: an assertion and a DPoP proof by the same key, a token signed with ES256.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let kinds = [
        ("ES256", NewKey::EcP256, Algorithm::Es256, Scheme::Es256),
        ("Ed25519", NewKey::Ed25519, Algorithm::EdDsa, Scheme::Ed25519),
    ];
    let floor = Floor::start(bench)?;
    let product = Product::start(bench, "token", Place::OneCore)?;
    let mut rows = Vec::new();
    for (name, kind, algorithm, scheme) in kinds {
        let accounts = (&*format!("{kind:?}-").to_lowercase(), bench.clients());
        let identities = product.register(bench, accounts, kind, algorithm)?;
        let tokens = product.log_in(bench, &identities)?;
        let proofs = found_by(identities.iter().map(Identity::proof_header));
        let assertions = found_by(identities.iter().map(Identity::assertion_header));
        floor.prime(&Prime {
            scheme,
            keys: spki(&identities),
            found_by: proofs.chain(assertions).collect(),
            nonces: HashMap::new(),
            answer: &tokens[0],
        })?;
        let mut cpu = (Vec::new(), Vec::new());
        for round in 0..=bench.rounds() {
            let nonce = product.token_nonce()?;
            let requests = prepare(&bench.cores, bench.requests(REQUESTS), |number| {
                login(&identities[number % identities.len()], &nonce)
            })?;
            let measured = (
                cpu_per_request(&floor.server, &requests, 200)?,
                cpu_per_request(&product.server, &requests, 200)?,
            );
            // The first round is there to warm up.
            if round > 0 {
                cpu.0.push(measured.0);
                cpu.1.push(measured.1);
            }
        }
        bench.say(&format!("token, {name}: {cpu:.0?}"));
        let medians = (median(&cpu.0), median(&cpu.1));
        let title = format!("token request, {name}, durable: CPU");
        rows.push(Row::against(title, Unit::Micros, medians, Target::Ratio(1.5)));
    }
    Ok(rows)
}
