//! One connection of the generator.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use anyhow::{Context as _, bail};

use super::http::Response;

const READ_AT_ONCE: usize = 64 << 10;

/// A connection with at most one request under way.
pub(super) struct Connection {
    pub(super) stream: mio::net::TcpStream,
    under_way: Option<UnderWay>,
    received: Vec<u8>,
    filled: usize,
}

struct UnderWay {
    index: usize,
    /// When it should have been sent.
    due: Instant,
    sent: usize,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let stream = mio::net::TcpStream::from_std(stream);
        Ok(Self { stream, under_way: None, received: vec![0; READ_AT_ONCE], filled: 0 })
    }

    /// Begins to send request `index`, whose bytes are `request`.
    pub(super) fn begin(&mut self, index: usize, due: Instant, request: &[u8]) -> io::Result<()> {
        self.under_way = Some(UnderWay { index, due, sent: 0 });
        self.filled = 0;
        self.send(request)
    }

    /// The request under way.
    pub(super) fn index(&self) -> Option<usize> {
        self.under_way.as_ref().map(|request| request.index)
    }

    /// Sends what the socket takes of the rest of `request`.
    pub(super) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let Some(under_way) = &mut self.under_way else { return Ok(()) };
        while under_way.sent < request.len() {
            match self.stream.write(&request[under_way.sent..]) {
                Ok(sent) => under_way.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what has arrived. When the answer is whole, hands it to `answered` with the index of
    /// its request and the time when that was due, and is free again.
    pub(super) fn receive(
        &mut self,
        mut answered: impl FnMut(usize, Instant, &Response<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        loop {
            if self.filled == self.received.len() {
                self.received.resize(2 * self.filled, 0);
            }
            match self.stream.read(&mut self.received[self.filled..]) {
                Ok(0) => bail!("the server has closed a connection"),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if let Some((response, length)) = Response::parse(&self.received[..self.filled])? {
                let request = self.under_way.take().context("an answer that nobody asked for")?;
                anyhow::ensure!(length == self.filled, "more than one answer to a request");
                return answered(request.index, request.due, &response);
            }
        }
    }
}

/// Sends one request over a connection of its own and returns the bytes of the answer.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request)?;
    let mut received = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part)? {
            0 => bail!("the server has closed the connection"),
            count => received.extend_from_slice(&part[..count]),
        }
        if Response::parse(&received)?.is_some() {
            return Ok(received);
        }
    }
}
