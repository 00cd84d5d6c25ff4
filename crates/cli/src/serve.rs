//! `countersign serve`.

use std::{
    fs,
    net::SocketAddr,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use countersign_authority::Maintenance;
use countersign_server::{AccessLog, App, ServerTls, router};
use countersign_store::sqlite::Disk;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{SignalKind, signal},
};

use crate::{
    config::{self, Location, Settings},
    hardening, logging,
    master_key::Source,
    notify::{self, State},
    output,
    secret_file::{self, Keeper},
    startup::{self, Allowed, Opened},
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
    #[arg(long, value_name = "ADDR:PORT", value_parser = config::parse_listen)]
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
    let started = |started: Started| {
        announce(&settings, &started);
        notify::service_manager(State::Ready);
    };
    serve(&settings, allowed, stop, started).await
}

/// A server that has begun to listen.
pub(crate) struct Started {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What clients call it.
    pub(crate) issuer: String,
    /// Where its master key came from.
    pub(crate) master_key: Source,
    /// Whether its database was made just now.
    pub(crate) is_new: bool,
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
    let files = settings.tls_files();
    if let Some(files) = &files {
        warn_of_readers(&files.key);
    }
    let tls = files.map(ServerTls::load).transpose()?.map(Arc::new);
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr()?;
    let origin = settings.origin(address)?;
    let issuer = origin.origin().to_owned();
    let limits = settings.connections(&origin)?;
    let opened =
        on_a_thread_of_its_own(|| startup::start(settings, allowed, || settings.policy(origin)))?;
    let app = App::new(Arc::clone(&opened.authority), transport);
    let store_metrics = Arc::clone(&app.metrics);
    let log = AccessLog::of(&app);
    opened.store.measure(
        Arc::clone(&opened.authority.core.ports().clock),
        move |operation, took| {
            store_metrics.store_operation(operation.name(), took);
        },
    );
    let maintenance = || Maintenance::new(Arc::clone(&opened.authority));
    let Opened { master_key, is_new, .. } = &opened;
    started(Started { address, issuer, master_key: master_key.clone(), is_new: *is_new });
    let housekeeping = tokio::spawn(maintenance().run());
    let reloading = tls.clone().map(|tls| tokio::spawn(tls.keep_current(TLS_CHECK_EVERY)));
    let acceptor = tls.map(|tls| tls.acceptor());
    let router = router(&app);
    let served = countersign_server::serve(listener, acceptor, router, &limits, &log, stop).await;
    housekeeping.abort();
    reloading.inspect(tokio::task::JoinHandle::abort);
    maintenance().finish().await;
    drop(opened.lock);
    tracing::info!("stopped");
    Ok(served?)
}

/// A key that others can read is no reason to be away: it often comes so from what renews or mounts it.
fn warn_of_readers(key: &Path) {
    const ELSEWHERE: &str = "keep it on another file system";
    let readable = fs::metadata(key)
        .map_err(anyhow::Error::from)
        .and_then(|file| secret_file::check(key, &file, Keeper::Service, ELSEWHERE));
    if let Err(error) = readable {
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

/// Ready at SIGTERM or SIGINT.
fn until_asked_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        notify::service_manager(State::Stopping);
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
fn announce(settings: &Settings, started: &Started) {
    for line in beginning(&settings.data_dir, started) {
        output::remark(line);
    }
    output::remark(whereabouts(settings, started));
    for origin in &settings.forward_auth.origins {
        output::remark(format!(
            "protecting {origin} for proxies at {}",
            settings.trusted_proxies.join(", ")
        ));
    }
    warn(settings);
    output::remark(first_step(&settings.enrolment, &started.issuer));
}

/// What was made or opened.
fn beginning(data_dir: &Path, started: &Started) -> Vec<String> {
    let data_dir = data_dir.display();
    let made = format!("made the data directory {data_dir}, a database and signing keys");
    let opened = format!("opened the data directory {data_dir}");
    let done = if started.is_new { made } else { opened };
    match &started.master_key {
        Source::NewFile(path) => vec![
            done,
            format!(
                "made the master key {}: keep a copy elsewhere, a backup is worth nothing without it",
                path.display()
            ),
        ],
        Source::File(_) => vec![done],
        Source::Interrupted(_) => {
            vec![format!("{done} and finished an interrupted change of its master key")]
        }
        Source::Environment(variable) => vec![format!("{done}, with the master key in {variable}")],
    }
}

/// Where the server listens, and what clients call it where that is something else.
fn whereabouts(settings: &Settings, Started { address, issuer, .. }: &Started) -> String {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let listens = format!("{scheme}://{address}");
    let called =
        if listens == *issuer { String::new() } else { format!(", clients call it {issuer}") };
    format!("listening on {listens}{called}, enrolment is {}", settings.enrolment)
}

fn warn(settings: &Settings) {
    if !settings.rate_limits.enabled {
        output::remark(
            "WARNING: rate limits are OFF; every client may do everything as often as it likes",
        );
        tracing::warn!("rate limits are off");
    }
    if settings.insecure_http && settings.tls.is_none() {
        output::remark("WARNING: plain HTTP; whoever is in between reads along");
    }
    let reserve = settings.limits.disk_reserve_bytes;
    if let Ok(Disk { free_bytes: free, .. }) = Disk::of(&settings.data_dir)
        && free < reserve
    {
        output::remark(format!(
            "WARNING: {free} bytes are free on the disk of {}, less than limits.disk_reserve_bytes \
             ({reserve}): nobody can register until there is more",
            settings.data_dir.display()
        ));
        tracing::warn!(free, reserve, "the disk is nearly full: registrations are refused");
    }
}

/// What a person may do next.
fn first_step(enrolment: &str, issuer: &str) -> String {
    let register = format!("countersign register alice --server {issuer}");
    match enrolment {
        "closed" => "nobody can register: enrolment is closed".to_owned(),
        "invited" => format!("try: countersign admin invite alice, then: {register} --code CODE"),
        _ => format!("try: {register}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(address: &str, issuer: &str, master_key: Source, is_new: bool) -> Started {
        let address = address.parse().unwrap();
        Started { address, issuer: issuer.to_owned(), master_key, is_new }
    }

    #[test]
    fn the_start_says_where_it_listens_and_what_clients_call_it() {
        let settings = Settings::default();
        let key = || Source::File("k".into());
        let alone = started("127.0.0.1:8080", "http://127.0.0.1:8080", key(), false);
        assert_eq!(
            whereabouts(&settings, &alone),
            "listening on http://127.0.0.1:8080, enrolment is open"
        );
        let behind = started("127.0.0.1:8080", "https://auth.example.com", key(), false);
        assert_eq!(
            whereabouts(&settings, &behind),
            "listening on http://127.0.0.1:8080, clients call it https://auth.example.com, enrolment \
             is open"
        );
    }

    #[test]
    fn what_was_made_is_not_called_opened() {
        let said = |key: Source, is_new| {
            beginning(Path::new("data"), &started("127.0.0.1:1", "http://a", key, is_new)).concat()
        };
        let environment = Source::Environment("NOT_MY_KEY");
        assert_eq!(
            said(environment.clone(), true),
            "made the data directory data, a database and signing keys, with the master key in \
             NOT_MY_KEY"
        );
        assert_eq!(
            said(environment, false),
            "opened the data directory data, with the master key in NOT_MY_KEY"
        );
        assert_eq!(said(Source::File("k".into()), false), "opened the data directory data");
    }

    #[test]
    fn the_first_step_is_one_that_works() {
        let issuer = "https://auth.example.com";
        let step = |enrolment| first_step(enrolment, issuer);
        assert_eq!(
            step("open"),
            "try: countersign register alice --server https://auth.example.com"
        );
        assert!(step("invited").contains("admin invite alice"), "{}", step("invited"));
        assert!(step("invited").ends_with("--code CODE"), "{}", step("invited"));
        assert!(!step("closed").contains("countersign register"), "{}", step("closed"));
    }
}
