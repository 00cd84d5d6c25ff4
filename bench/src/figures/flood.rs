//! Memory under floods: how much a server's resident memory grows, against what it says itself.

use std::{hash::RandomState, process::Command, time::Duration};

use anyhow::Context as _;
use countersign_protocol::{
    AccountId, ReplayEntry, UnixTime,
    digest::sha256,
    keys::{Algorithm, NewKey},
    replay::{EpochId, FoundNew, LogEpoch, MemoryReplayLog, ReplayOwner},
};
use serde_json::json;

use super::measuring::{CONNECTIONS, as_f64, mib};
use crate::{
    bench::Bench,
    identity::{Identity, fresh_id, now, prepare},
    load::{Generator, Pace, request},
    process::{Place, resident},
    product::{JSON, Product, login, whoami},
    table::{Row, Target, Unit},
};

/// Proofs for the replay log alone.
const PROOFS_IN_PROCESS: u64 = 10_000_000;
/// How many of them come in a second, by its own clock.
const PROOFS_PER_SECOND: u64 = 40_000;
/// What the documentation says: room for four million, and what each of them, and each session, may
/// take.
const REPLAY_CAPACITY: u64 = 4_000_000;
const PROOF_BYTES: f64 = 40.0;
const SESSION_BYTES: f64 = 150.0;
/// What a server may take beside that: its caches, buffers of connections, what the allocator
/// keeps.
const SLACK_MIB: f64 = 32.0;

/// Floods of distinct proofs, sessions for random names, logins of strangers, garbage tokens.
pub(super) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = vec![replay_log(bench)?];
    let product = Product::start(bench, "flood", Place::OneCore)?;
    let kind = (NewKey::Ed25519, Algorithm::EdDsa);
    let identities = product.register(bench, ("ed-", bench.clients()), kind.0, kind.1)?;
    let tokens = product.log_in(bench, &identities)?;
    let mut flood = |name: &str, count: usize, status, each: f64, make: &MakeRequest<'_>| {
        let count = bench.requests(count);
        let before = product.server.resident()?;
        // In parts, so that requests are fresh and this process does not hold them all.
        for part in parts(count) {
            let requests = prepare(&bench.cores, part, make)?;
            let mut generator = Generator::connect(product.server.address, CONNECTIONS)?;
            generator.run(&requests, Pace::AsFastAsAnswered, status, &mut |_, _| {})?;
        }
        let grown = mib(product.server.resident()?.saturating_sub(before));
        bench.say(&format!("{name}: {count} requests, {grown:.1} MiB"));
        let bound = SLACK_MIB + as_f64(count) * each / f64::from(1 << 20);
        let title = format!("memory grown by {count} {name}");
        rows.push(Row::alone(title, Unit::Mib, grown, Target::AtMost(bound)));
        anyhow::Ok(())
    };

    let nonce = product.resource_nonce()?;
    flood("distinct proofs", 100_000, 200, PROOF_BYTES, &|number| {
        let who = number % identities.len();
        whoami(&identities[who], &tokens[who], &nonce)
    })?;
    flood("sessions for random names", 300_000, 200, SESSION_BYTES, &|_| {
        let body = json!({ "user_id": format!("user-{}", fresh_id()) });
        Ok(request("POST", "/login", &[JSON], &body.to_string()))
    })?;
    let nonce = product.token_nonce()?;
    flood("logins of strangers", 20_000, 400, 0.0, &|_| {
        login(&Identity::new(fresh_id(), kind.0, kind.1)?, &nonce)
    })?;
    flood("garbage tokens", 200_000, 401, 0.0, &|_| {
        let token = format!("Authorization: DPoP {}", fresh_id().repeat(12));
        Ok(request("GET", "/v1/whoami", &[&token, "DPoP: garbage"], ""))
    })?;
    let total = mib(product.server.resident()?);
    rows.push(Row::alone("memory after all floods", Unit::Mib, total, Target::AtMost(150.0)));
    Ok(rows)
}

type MakeRequest<'a> = dyn Fn(usize) -> anyhow::Result<Vec<u8>> + Sync + 'a;

/// `count` in parts of at most 20 000.
fn parts(count: usize) -> impl Iterator<Item = usize> {
    (0..count).step_by(20_000).map(move |first| (count - first).min(20_000))
}

/// Ten million proofs through the replay log, in a process of its own.
fn replay_log(bench: &Bench) -> anyhow::Result<Row> {
    let count = if bench.requests(1000) == 1000 { PROOFS_IN_PROCESS } else { 100_000 };
    let output = Command::new(std::env::current_exe()?)
        .args(["replay-flood", &count.to_string()])
        .output()
        .context("cannot start the replay log's process")?;
    let text = String::from_utf8(output.stdout)?;
    let grown = mib(text.trim().parse().with_context(|| format!("no number: {text}"))?);
    bench.say(&format!("replay log: {count} proofs, {grown:.1} MiB"));
    let bound = PROOF_BYTES * as_f64(usize::try_from(REPLAY_CAPACITY)?) / f64::from(1 << 20);
    let title = format!("replay log after {count} proofs, {PROOFS_PER_SECOND}/s");
    Ok(Row::alone(title, Unit::Mib, grown, Target::AtMost(bound)))
}

/// Sends `count` proofs through a replay log, each of which must be remembered for 75 seconds, and
/// prints by how many bytes the process has grown at most.
#[expect(clippy::print_stdout, reason = "the result, for the process that started this one")]
pub(crate) fn flood_replay_log(count: u64) -> anyhow::Result<()> {
    let epoch = LogEpoch { id: EpochId::from_bytes([1; 16]), since: UnixTime::EPOCH };
    let log = MemoryReplayLog::new(epoch, REPLAY_CAPACITY, REPLAY_CAPACITY, RandomState::new());
    let begun = UnixTime::from_secs(now());
    let before = resident("self")?;
    let mut most = before;
    let owner = ReplayOwner::Account(AccountId::from_bytes([1; 16]));
    for number in 0..count {
        let millis = Duration::from_millis(number * 1000 / PROOFS_PER_SECOND);
        let digest = sha256(&[&number.to_be_bytes()]);
        let at = begun + millis;
        let entry = ReplayEntry { digest, forget_at: at + Duration::from_secs(75) };
        let _receipt = log
            .record(entry, FoundNew::ByNonce(epoch.id), owner, at)
            .context("a proof was refused")?;
        if number % 100_000 == 0 {
            most = most.max(resident("self")?);
        }
    }
    println!("{}", most.max(resident("self")?) - before);
    Ok(())
}
