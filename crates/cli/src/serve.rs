//! `countersign serve`.

use std::{
    net::SocketAddr, panic::resume_unwind, path::PathBuf, sync::Arc, thread, time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use countersign_authority::Maintenance;
use countersign_server::{app::App, listen, tls::ServerTls};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};

use crate::{
    config::{self, Location, Settings},
    hardening, logging,
    master_key::Source,
    output,
    server::{self, Allowed},
};

/// How often the certificate files are looked at.
const TLS_CHECK_EVERY: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    location: Location,

    /// Make a new database where one has been, or where a master key is given: for the very first
    /// start, once. What is left of an old database is kept beside the new one
    #[arg(long)]
    new: bool,

    /// Go on without the write-ahead log (-wal) of the database, which is missing: changes that were
    /// acknowledged may be lost. It is written to the log and to the audit trail
    #[arg(long)]
    accept_loss: bool,

    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,

    /// The origin by which clients know this server, such as <https://auth.example.com>
    /// [default: http://ADDR:PORT]
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,

    /// TLS certificate chain (PEM); reloaded when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// TLS private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Allow plain HTTP on an address that the network can reach
    #[arg(long)]
    insecure_http: bool,

    /// Who may register: open, invited (with a one-time code) or closed [default: open]
    #[arg(long, value_name = "RULE")]
    enrolment: Option<String>,

    /// An API elsewhere that tokens may be for, such as <https://api.example.com>; may be given more
    /// than once
    #[arg(long = "resource", value_name = "URL")]
    resources: Vec<String>,

    /// An API behind a proxy that asks this server who may pass, such as <https://api.example.com>;
    /// may be given more than once
    #[arg(long = "protect", value_name = "ORIGIN")]
    protected_origins: Vec<String>,

    /// A proxy whose forwarding headers are believed, by address or network; may be given more than
    /// once
    #[arg(long = "trusted-proxy", value_name = "ADDR")]
    trusted_proxies: Vec<String>,

    /// How log lines look: human or json [default: human]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl Options {
    fn to_table(&self) -> anyhow::Result<toml::Table> {
        let mut table = toml::Table::new();
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                table.insert(name.to_owned(), value.into());
            }
        };
        set("listen", self.listen.map(|address| address.to_string()));
        set("issuer", self.issuer.clone());
        set("enrolment", self.enrolment.clone());
        if self.insecure_http {
            table.insert("insecure_http".to_owned(), true.into());
        }
        for (name, list) in
            [("resources", &self.resources), ("trusted_proxies", &self.trusted_proxies)]
        {
            if !list.is_empty() {
                table.insert(name.to_owned(), list.clone().into());
            }
        }
        if !self.protected_origins.is_empty() {
            let origins = [("origins".to_owned(), self.protected_origins.clone().into())];
            table.insert("forward_auth".to_owned(), toml::Table::from_iter(origins).into());
        }
        if let Some(format) = &self.log_format {
            let log = toml::Table::from_iter([("format".to_owned(), format.as_str().into())]);
            table.insert("log".to_owned(), log.into());
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) {
            let text = |path: &PathBuf| path.to_str().map(toml::Value::from).context("not UTF-8");
            let tls = [("cert".to_owned(), text(cert)?), ("key".to_owned(), text(key)?)];
            table.insert("tls".to_owned(), toml::Table::from_iter(tls).into());
        }
        Ok(table)
    }
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    let settings = config::load(&options.location, options.to_table()?)?;
    let _log = logging::start(&settings.log)?;
    hardening::keep_memory_private();
    ignore_other_signals()?;
    let stop = until_asked_to_stop()?;
    let allowed = Allowed { anew: options.new, loss: options.accept_loss };
    serve(&settings, allowed, stop, |started| announce(&settings, &started)).await
}

/// A server that has begun to listen.
pub(crate) struct Started {
    /// Where clients find it.
    pub(crate) issuer: String,
    /// Where its master key came from.
    pub(crate) master_key: Source,
}

/// Serves until `stop` is ready; calls `started` when it listens.
pub(crate) async fn serve(
    settings: &Settings,
    allowed: Allowed,
    stop: impl Future<Output = ()>,
    started: impl FnOnce(Started),
) -> anyhow::Result<()> {
    settings.check_transport()?;
    let transport = settings.transport()?;
    let tls = settings.tls_files().map(ServerTls::load).transpose()?.map(Arc::new);
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let origin = settings.origin(listener.local_addr()?)?;
    let issuer = origin.origin().to_owned();
    let limits = settings.connections(&origin)?;
    let opened =
        on_a_thread_of_its_own(|| server::start(settings, allowed, || settings.policy(origin)))?;
    let app = App::new(Arc::clone(&opened.authority), transport);
    let guarding = app.clone();
    let store_metrics = Arc::clone(&app.metrics);
    let log = app.access_log();
    opened.store.measure(Arc::clone(&opened.authority.ports().clock), move |operation, took| {
        store_metrics.store_operation(operation.name(), took);
    });
    let maintenance = || {
        let guarding = guarding.clone();
        Maintenance::new(Arc::clone(&opened.authority), move || guarding.forget_verified_tokens())
    };
    started(Started { issuer, master_key: opened.master_key });
    let housekeeping = tokio::spawn(maintenance().run());
    let reloading = tls.clone().map(|tls| tokio::spawn(tls.keep_current(TLS_CHECK_EVERY)));
    let acceptor = tls.map(|tls| tls.acceptor());
    let served = listen::serve(listener, acceptor, app.router(), &limits, &log, stop).await;
    housekeeping.abort();
    reloading.inspect(tokio::task::JoinHandle::abort);
    maintenance().finish().await;
    drop(opened.lock);
    tracing::info!("stopped");
    Ok(served?)
}

/// Waits for what a thread of its own makes. What has passed over the stack of that thread, the master
/// key above all, goes with it: the system takes the memory back when the thread ends.
fn on_a_thread_of_its_own<T: Send, F: Future<Output = anyhow::Result<T>>>(
    work: impl FnOnce() -> F + Send,
) -> anyhow::Result<T> {
    let runtime = Handle::current();
    let done = thread::scope(|scope| scope.spawn(move || runtime.block_on(work())).join());
    done.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Ready at SIGTERM or SIGINT.
fn until_asked_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests under way may finish");
    })
}

/// Signals that mean "reload" or "reopen" to other servers, and whose default is to end the process.
fn ignore_other_signals() -> anyhow::Result<()> {
    for (name, kind) in [
        ("SIGHUP", SignalKind::hangup()),
        ("SIGUSR1", SignalKind::user_defined1()),
        ("SIGUSR2", SignalKind::user_defined2()),
    ] {
        let mut received = signal(kind)?;
        tokio::spawn(async move {
            // Once: what has a handler never falls back to its default.
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

/// A few lines for the person who started the server.
fn announce(settings: &Settings, Started { issuer, master_key }: &Started) {
    let data_dir = settings.data_dir.display();
    match master_key {
        Source::NewFile(path) => {
            output::remark(format!(
                "made the data directory {data_dir}, a database and signing keys"
            ));
            output::remark(format!(
                "made the master key {}: keep a copy elsewhere, a backup is worth nothing without it",
                path.display()
            ));
        }
        Source::File(_) => output::remark(format!("opened the data directory {data_dir}")),
        Source::Interrupted(_) => output::remark(format!(
            "opened the data directory {data_dir} and finished an interrupted change of its master \
             key"
        )),
        Source::Environment(variable) => {
            output::remark(format!("opened the data directory {data_dir} with {variable}"));
        }
    }
    output::remark(format!("listening on {issuer}, enrolment is {}", settings.enrolment));
    for origin in &settings.forward_auth.origins {
        output::remark(format!(
            "protecting {origin} for proxies at {}",
            settings.trusted_proxies.join(", ")
        ));
    }
    if !settings.rate_limits.enabled {
        output::remark(
            "WARNING: rate limits are OFF; every client may do everything as often as it likes",
        );
        tracing::warn!("rate limits are off");
    }
    if settings.insecure_http && settings.tls.is_none() {
        output::remark("WARNING: plain HTTP; whoever is in between reads along");
    }
    output::remark(format!("try: countersign register alice --server {issuer}"));
}
