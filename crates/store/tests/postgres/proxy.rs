//! A door between a store and its server, which a test can shut.

use std::sync::Arc;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Carries connections to a server as long as it is open.
pub(crate) struct Proxy {
    /// Where it listens: `127.0.0.1:PORT`.
    pub(crate) address: String,
    is_open: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// An open door to the server at `target`.
    pub(crate) async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let is_open = Arc::new(watch::Sender::new(true));
        let shared = Arc::clone(&is_open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *shared.borrow() {
                    tokio::spawn(carry(client, target.clone(), shared.subscribe()));
                }
            }
        });
        Self { address, is_open }
    }

    /// Ends all connections, and lets nobody in any more.
    pub(crate) fn shut(&self) {
        self.is_open.send_replace(false);
    }

    /// Lets everybody in again.
    pub(crate) fn open(&self) {
        self.is_open.send_replace(true);
    }
}

async fn carry(mut client: TcpStream, target: String, mut is_open: watch::Receiver<bool>) {
    let mut server = TcpStream::connect(target).await.unwrap();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
    }
}
