//! `countersign serve`.

mod announcement;
mod draining;
mod listeners;
mod signals;

use std::{
    fs,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use countersign_authority::{Authority, Maintenance};
use countersign_server::{AccessLog, App, ServerTls, router};
use tokio::runtime::Handle;

pub(crate) use self::draining::StopRequests;
use self::{
    announcement::{Started, announce},
    draining::until_drained,
};
use crate::{
    config::{self, Listen, Location, Settings},
    hardening, logging,
    notify::{self, State},
    output,
    secret_file::{self, Keeper},
    startup::{self, Allowed, Opened, Presence},
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

    /// Where to listen: an IP address, or localhost for both loopback addresses; port 0 takes a free
    /// one [default: localhost:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<Listen>,

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
    signals::ignore_others()?;
    let stop = signals::requests_to_stop()?;
    let allowed = Allowed { anew: options.new, loss: options.accept_loss };
    let started = |started: Started| {
        announce(&settings, &started);
        notify::service_manager(State::Ready);
    };
    serve(&settings, allowed, stop, started).await
}

/// Serves until `stop` has a request; calls `started` when it listens.
pub(crate) async fn serve(
    settings: &Settings,
    allowed: Allowed,
    stop: StopRequests,
    started: impl FnOnce(Started),
) -> anyhow::Result<()> {
    settings.check_transport()?;
    for doubt in settings.doubtful_resources() {
        output::remark(format!("WARNING: {doubt}"));
    }
    let transport = settings.transport()?;
    let files = settings.tls_files();
    if let Some(files) = &files {
        warn_of_readers(&files.key);
    }
    let tls = files.map(ServerTls::load).transpose()?.map(Arc::new);
    let (listeners, bound) = listeners::bind(settings.listen)
        .await
        .map_err(|error| startup::running_already(settings).unwrap_or(error))?;
    let origin = settings.origin(bound)?;
    let limits = settings.connections(&origin)?;
    let Opened { authority, engine, place, master_key, is_new, presence } =
        on_a_thread_of_its_own(|| startup::start(settings, allowed, bound))?;
    let issuer = authority.core.policy().issuer().to_owned();
    let web_hash = transport.web.as_ref().map(|web| web.hash());
    let app = App::new(Arc::clone(&authority), transport);
    let store_metrics = Arc::clone(&app.metrics);
    let log = AccessLog::of(&app.authority, &app.metrics, &app.settings.proxies);
    engine.measure(authority.core.clock(), move |operation, took| {
        store_metrics.store_operation(operation.name(), took);
    });
    let maintenance = || Maintenance::new(Arc::clone(&authority));
    started(Started { bound, issuer, place, master_key, is_new, web_hash });
    let housekeeping = tokio::spawn(maintenance().run());
    let reloading = tls.clone().map(|tls| tokio::spawn(tls.keep_current(TLS_CHECK_EVERY)));
    let acceptor = tls.map(|tls| tls.acceptor());
    let router = router(&app);
    let drain_delay = Duration::from_secs(settings.cluster.drain_delay);
    let stop = until_drained(stop, drain_delay, || app.drain());
    let serving = countersign_server::serve(listeners, acceptor, router, &limits, &log, stop);
    let served = while_known(&presence, &authority, serving).await;
    housekeeping.abort();
    reloading.inspect(tokio::task::JoinHandle::abort);
    maintenance().finish().await;
    presence.end().await;
    tracing::info!("stopped");
    served
}

/// Serves, and lets others know that this server runs for as long as it does.
async fn while_known<E: Into<anyhow::Error>>(
    presence: &Presence,
    authority: &Authority,
    serving: impl Future<Output = Result<(), E>>,
) -> anyhow::Result<()> {
    tokio::select! {
        served = serving => served.map_err(Into::into),
        reason = presence.keep_up(authority) => Err(reason),
    }
}

/// A key that others can read is no reason to be away: it often comes so from what renews or mounts it.
fn warn_of_readers(key: &Path) {
    const ELSEWHERE: &str = "keep it on another file system";
    // A file that is not there is no warning, because loading it says so.
    let Ok(file) = fs::metadata(key) else { return };
    if let Err(error) = secret_file::check(key, &file, Keeper::Service, ELSEWHERE) {
        output::remark(format!("WARNING: {error}"));
    }
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
