//! What stands before several servers, under the one name by which clients know them.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// Leads new connections to one server, and later ones to another when the test says so.
pub(super) struct Balancer {
    url: String,
    target: Arc<Mutex<Option<SocketAddr>>>,
}

impl Balancer {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&target);
        thread::spawn(move || {
            for client in listener.incoming() {
                let target = shared.lock().unwrap().unwrap();
                lead(&client.unwrap(), target);
            }
        });
        Self { url, target }
    }

    /// The name of the servers.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// From now on whoever connects comes to the server at `url`.
    pub(super) fn lead_to(&self, url: &str) {
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        *self.target.lock().unwrap() = Some(address);
    }
}

/// Carries what comes from either side to the other.
fn lead(client: &TcpStream, target: SocketAddr) {
    let server = TcpStream::connect(target).unwrap();
    for (from, to) in [(client, &server), (&server, client)] {
        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        thread::spawn(move || {
            // However it ends, both directions do.
            let _: io::Result<u64> = io::copy(&mut from, &mut to);
            let _: io::Result<()> = to.shutdown(Shutdown::Both);
        });
    }
}
