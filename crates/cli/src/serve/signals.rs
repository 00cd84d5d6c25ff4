//! What signals mean to a server.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use super::draining::StopRequests;
use crate::notify::{self, State};

/// A request to stop for each SIGTERM and SIGINT.
pub(super) fn requests_to_stop() -> anyhow::Result<StopRequests> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (ask, requests) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            notify::service_manager(State::Stopping);
            if ask.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(requests)
}

/// Signals that mean "reload" or "reopen" to other servers, but end a process by default.
pub(super) fn ignore_others() -> anyhow::Result<()> {
    for (name, kind) in [
        ("SIGHUP", SignalKind::hangup()),
        ("SIGUSR1", SignalKind::user_defined1()),
        ("SIGUSR2", SignalKind::user_defined2()),
    ] {
        let mut received = signal(kind)?;
        tokio::spawn(async move {
            // Set once: a signal with a handler never goes back to its default.
            received.recv().await;
            tracing::warn!(
                signal = name,
                "ignored: certificate files are read again when they change, the log goes to \
                 standard error, and settings are read at the start only"
            );
        });
    }
    Ok(())
}
