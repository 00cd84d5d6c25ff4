//! Opens the sockets of a server.

use std::{io, net::SocketAddr};

use anyhow::Context as _;
use countersign_server::Listeners;
use tokio::net::TcpListener;

use crate::config::Listen;

/// How many free ports are tried that turn out to be taken for IPv6.
const TRIES: usize = 16;

/// Opens the sockets of `listen`. Returns them, and `listen` with the port that they really have.
pub(super) async fn bind(listen: Listen) -> anyhow::Result<(Listeners, Listen)> {
    let is_free_port = listen.port() == 0;
    let mut tries = if is_free_port { TRIES } else { 1 };
    loop {
        tries -= 1;
        let (address, _) = listen.addresses();
        let first = socket(address).await.with_context(|| cannot(address))?;
        let bound = listen.with_port(first.local_addr()?.port());
        let (_, Some(address)) = bound.addresses() else { return Ok((first.into(), bound)) };
        match socket(address).await {
            Ok(second) => return Ok((Listeners::both(first, second), bound)),
            // Clients that mean this server would reach the other program.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if tries == 0 {
                    return Err(error).with_context(|| cannot(address));
                }
            }
            Err(error) => {
                tracing::debug!(%error, %address, "no IPv6 here");
                return Ok((first.into(), bound));
            }
        }
    }
}

async fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

fn cannot(address: SocketAddr) -> String {
    format!("cannot listen on {address}")
}
