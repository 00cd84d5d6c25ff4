//! Reports the state of the server to the service manager by `sd_notify(3)`: a datagram to the
//! socket in `NOTIFY_SOCKET`. Without that variable nothing is sent.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

const VARIABLE: &str = "NOTIFY_SOCKET";

/// What the service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The server listens. Services that wait for it may start.
    Ready,
    /// The server is stopping, so its end is no failure.
    Stopping,
}

impl State {
    const fn text(self) -> &'static [u8] {
        match self {
            Self::Ready => b"READY=1",
            Self::Stopping => b"STOPPING=1",
        }
    }
}

/// Tells the service manager, if there is one. If that fails, the server goes on.
pub(crate) fn service_manager(state: State) {
    let Some(name) = env::var_os(VARIABLE).filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send(&name, state) {
        tracing::warn!(?state, socket = ?name, %error, "the service manager is not told");
    }
}

fn send(name: &OsStr, state: State) -> io::Result<()> {
    // A name that begins with @ is an abstract socket, not a file.
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.text(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut message = [0; 100];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    #[test]
    fn both_kinds_of_sockets_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), State::Ready).unwrap();
        assert_eq!(received(&socket), "READY=1");

        let name = format!("countersign-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        send(format!("@{name}").as_ref(), State::Stopping).unwrap();
        assert_eq!(received(&socket), "STOPPING=1");
        assert!(send(dir.path().join("nobody").as_os_str(), State::Ready).is_err());
    }
}
