//! The measurements that several figures share.

use crate::{
    load::{Generator, Pace, Response},
    process::Server,
};

/// How many connections clients keep, unless a figure says otherwise.
pub(super) const CONNECTIONS: usize = 32;

/// The generator of most figures.
fn connect(server: &Server) -> anyhow::Result<Generator> {
    let generator = Generator::connect(server.address, CONNECTIONS)?;
    Ok(generator.that_never_sleeps(server.leaves_a_core))
}

/// The server's CPU time for each of `requests`, in microseconds, in a closed loop.
pub(super) fn cpu_per_request(
    server: &Server,
    requests: &[Vec<u8>],
    expected: u16,
) -> anyhow::Result<f64> {
    cpu_while_answering(server, requests, expected, &mut |_, _| {})
}

/// The same, for requests of which the answers are wanted: each goes to `answered` with the index of
/// its request.
pub(super) fn cpu_while_answering(
    server: &Server,
    requests: &[Vec<u8>],
    expected: u16,
    answered: &mut dyn FnMut(usize, &Response<'_>),
) -> anyhow::Result<f64> {
    let mut generator = connect(server)?;
    let before = server.cpu_time()?;
    generator.run(requests, Pace::AsFastAsAnswered, expected, answered)?;
    let used = server.cpu_time()?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / as_f64(requests.len()))
}

/// So many requests are a window of latencies.
const WINDOW: usize = 1000;

/// The 99th percentile of latencies in microseconds, at so many requests in a second, in each window.
/// A virtual machine that is stopped for ten milliseconds spoils one window then, and no more.
pub(super) fn p99(
    server: &Server,
    requests: &[Vec<u8>],
    per_second: f64,
) -> anyhow::Result<Vec<f64>> {
    let mut generator = connect(server)?;
    let pace = Pace::PerSecond(per_second);
    let mut window = |requests: &[Vec<u8>]| {
        let mut run = generator.run(requests, pace, 200, &mut |_, _| {})?;
        Ok(run.latencies.percentile(99).as_secs_f64() * 1e6)
    };
    requests.chunks(WINDOW).map(&mut window).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2⁵²")]
pub(super) fn as_f64(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "sizes here are far below 2⁵²")]
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
