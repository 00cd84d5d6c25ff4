//! Where connections come from.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpStream};

/// The sockets of a server: one, or the two of `localhost`.
#[derive(Debug)]
pub struct Listeners {
    first: TcpListener,
    second: Option<TcpListener>,
}

impl Listeners {
    /// Two sockets. Neither has precedence.
    pub const fn both(first: TcpListener, second: TcpListener) -> Self {
        Self { first, second: Some(second) }
    }
}

impl From<TcpListener> for Listeners {
    fn from(first: TcpListener) -> Self {
        Self { first, second: None }
    }
}

/// A source of connections. The tests have one that fails.
pub(super) trait Accept {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)>;
}

impl Accept for Listeners {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let Some(second) = &self.second else { return self.first.accept().await };
        // Which one is asked first is random, so that a flood at one keeps nobody from the other.
        tokio::select! {
            accepted = self.first.accept() => accepted,
            accepted = second.accept() => accepted,
        }
    }
}
