//! Sends requests over kept connections, closed loop or at a fixed rate.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use mio::{Events, Interest, Poll, Token};

use super::{connection::Connection, http::Response, latencies::Latencies};

/// After that long without any answer the server is taken for stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Closed loop: each connection sends its next request as soon as it has its answer.
    AsFastAsAnswered,
    /// Open loop: that many in a second, evenly spaced, whether or not earlier ones are answered.
    /// A latency begins when its request was due. So a request that had to wait for a connection,
    /// because the server was slow, has waited; it is not omitted.
    PerSecond(f64),
}

/// How a run went.
pub(crate) struct Run {
    pub(crate) elapsed: Duration,
    pub(crate) latencies: Latencies,
}

/// Connections to one server.
pub(crate) struct Generator {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    never_sleeps: bool,
}

impl Generator {
    pub(crate) fn connect(address: SocketAddr, connections: usize) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let open = |number| {
            let mut connection = Connection::open(address)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut connection.stream, Token(number), both)?;
            anyhow::Ok(connection)
        };
        let connections = (0..connections).map(open).collect::<Result<_, _>>()?;
        let events = Events::with_capacity(1024);
        Ok(Self { poll, events, connections, never_sleeps: false })
    }

    /// One that looks for answers all the time, for a generator with a core of its own. To wake a
    /// thread that sleeps costs the one who wakes it, here the server, some microseconds; and the
    /// slower a server is, the more often it would find the generator asleep.
    pub(crate) fn that_never_sleeps(self, never_sleeps: bool) -> Self {
        Self { never_sleeps, ..self }
    }

    /// Sends each of `requests` once, in order. Every answer must have the status `expected` and
    /// goes to `answered` with the index of its request.
    ///
    /// The connections must be free, as they are after a run that succeeded.
    pub(crate) fn run(
        &mut self,
        requests: &[Vec<u8>],
        pace: Pace,
        expected: u16,
        answered: &mut dyn FnMut(usize, &Response<'_>),
    ) -> anyhow::Result<Run> {
        let begun = Instant::now();
        let mut latencies = Latencies::with_capacity(requests.len());
        let mut free: Vec<usize> = (0..self.connections.len()).rev().collect();
        let mut next = 0;
        let mut missing = requests.len();
        let mut heard = begun;
        while missing > 0 {
            while next < requests.len() && !free.is_empty() {
                let now = Instant::now();
                let due = due(next, pace, begun, now);
                if due > now {
                    break;
                }
                let Some(number) = free.pop() else { break };
                self.connections[number].begin(next, due, &requests[next])?;
                next += 1;
            }
            // A sleep would end later than asked for.
            let waits = next < requests.len() && !free.is_empty();
            let sleep = if waits || self.never_sleeps { Duration::ZERO } else { PATIENCE };
            self.poll.poll(&mut self.events, Some(sleep))?;
            let now = Instant::now();
            if self.events.is_empty() {
                ensure!(now < heard + PATIENCE || waits, "no answer for {PATIENCE:?}");
                continue;
            }
            heard = now;
            for event in &self.events {
                let number = event.token().0;
                let connection = &mut self.connections[number];
                let Some(index) = connection.index() else { continue };
                if event.is_writable() {
                    connection.send(&requests[index])?;
                }
                if !event.is_readable() {
                    continue;
                }
                connection.receive(|index, due, response| {
                    if response.status != expected {
                        let body = String::from_utf8_lossy(response.body);
                        bail!("{expected} was expected, not {}: {body}", response.status);
                    }
                    latencies.record(due.elapsed());
                    missing -= 1;
                    free.push(number);
                    answered(index, response);
                    Ok(())
                })?;
            }
        }
        Ok(Run { elapsed: begun.elapsed(), latencies })
    }
}

/// When request number `index` is to be sent.
fn due(index: usize, pace: Pace, begun: Instant, now: Instant) -> Instant {
    match pace {
        Pace::AsFastAsAnswered => now,
        #[expect(clippy::cast_precision_loss, reason = "no run has 2⁵² requests")]
        Pace::PerSecond(rate) => begun + Duration::from_secs_f64(index as f64 / rate),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        sync::{Arc, Mutex},
        thread,
    };

    use super::*;
    use crate::load::request;

    /// Answers every request with its own path, after `delay`, and counts how often each path came.
    fn echo(delay: Duration) -> (SocketAddr, Arc<Mutex<HashMap<String, usize>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<HashMap<String, usize>>>::default();
        let counts = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let counts = Arc::clone(&counts);
                thread::spawn(move || serve(stream.unwrap(), &counts, delay));
            }
        });
        (address, seen)
    }

    fn serve(mut stream: TcpStream, counts: &Mutex<HashMap<String, usize>>, delay: Duration) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let text = std::str::from_utf8(&buffer[..count]).unwrap();
            let path = text.split(' ').nth(1).unwrap();
            *counts.lock().unwrap().entry(path.to_owned()).or_default() += 1;
            thread::sleep(delay);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", path.len());
            stream.write_all((head + path).as_bytes()).unwrap();
        }
    }

    fn requests(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|number| request("GET", &format!("/{number}"), &[], "")).collect()
    }

    #[test]
    fn each_request_is_sent_once_and_gets_its_own_answer() {
        let closed = Pace::AsFastAsAnswered;
        for (pace, awake) in [(closed, false), (closed, true), (Pace::PerSecond(20_000.0), false)] {
            let (address, seen) = echo(Duration::ZERO);
            let generator = Generator::connect(address, 8).unwrap();
            let mut generator = generator.that_never_sleeps(awake);
            let mut answers = Vec::new();
            let run = generator
                .run(&requests(500), pace, 200, &mut |index, response| {
                    answers.push((index, String::from_utf8(response.body.to_vec()).unwrap()));
                })
                .unwrap();
            assert_eq!(run.latencies.len(), 500);
            assert!(answers.iter().all(|(index, path)| *path == format!("/{index}")));
            let seen = seen.lock().unwrap();
            assert_eq!(seen.len(), 500);
            assert!(seen.values().all(|&times| times == 1));
        }
    }

    #[test]
    fn a_request_that_waits_for_a_connection_has_waited() {
        let (address, _) = echo(Duration::from_millis(10));
        let mut generator = Generator::connect(address, 1).unwrap();
        // Ten are due at almost the same time, and one connection answers one in 10 ms.
        let run = generator.run(&requests(10), Pace::PerSecond(1e6), 200, &mut |_, _| {});
        assert!(run.unwrap().latencies.percentile(100) >= Duration::from_millis(100));
    }

    #[test]
    fn in_a_closed_loop_a_latency_begins_when_the_request_is_sent() {
        let (address, _) = echo(Duration::from_millis(10));
        let mut generator = Generator::connect(address, 1).unwrap();
        let run = generator.run(&requests(10), Pace::AsFastAsAnswered, 200, &mut |_, _| {});
        assert!(run.unwrap().latencies.percentile(1) < Duration::from_millis(100));
    }

    #[test]
    fn another_status_than_the_expected_one_is_an_error() {
        let (address, _) = echo(Duration::ZERO);
        let mut generator = Generator::connect(address, 1).unwrap();
        let run = generator.run(&requests(1), Pace::AsFastAsAnswered, 401, &mut |_, _| {});
        assert!(run.err().unwrap().to_string().contains("401 was expected, not 200"));
    }
}
