//! Opens the sockets of a server.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
};

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
        let first = socket(address).await.map_err(|error| cannot(address, error))?;
        let bound = listen.with_port(first.local_addr()?.port());
        let (_, Some(address)) = bound.addresses() else { return Ok((first.into(), bound)) };
        match socket(address).await {
            Ok(second) => return Ok((Listeners::both(first, second), bound)),
            // Clients that mean this server would reach the other program.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if tries == 0 {
                    return Err(cannot(address, error));
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

/// Why nothing listens on `address`, with what to do.
fn cannot(address: SocketAddr, error: io::Error) -> anyhow::Error {
    let way_out = match error.kind() {
        ErrorKind::AddrInUse => {
            let other = address.port().checked_add(1).unwrap_or(8080);
            format!(
                ": another program listens there, perhaps a server that runs already. Stop it, or take \
                 another port: --listen localhost:{other}"
            )
        }
        ErrorKind::AddrNotAvailable => {
            ": this machine has no such address. Name one that it has, or 0.0.0.0 for all of them"
                .to_owned()
        }
        ErrorKind::PermissionDenied => {
            ": this user may not take that port. Take one from 1024 on, for instance behind a proxy, or \
             give the process CAP_NET_BIND_SERVICE"
                .to_owned()
        }
        _ => String::new(),
    };
    anyhow::Error::new(error).context(format!("cannot listen on {address}{way_out}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_had_is_told_with_a_way_out() {
        let told = |kind: ErrorKind| {
            let address = SocketAddr::from(([127, 0, 0, 1], 8080));
            cannot(address, kind.into()).to_string()
        };
        assert!(told(ErrorKind::AddrInUse).ends_with("--listen localhost:8081"));
        assert!(told(ErrorKind::AddrNotAvailable).contains("no such address"));
        assert!(told(ErrorKind::PermissionDenied).contains("CAP_NET_BIND_SERVICE"));
        assert_eq!(told(ErrorKind::OutOfMemory), "cannot listen on 127.0.0.1:8080");
    }
}
