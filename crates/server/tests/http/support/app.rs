//! The application under test.

use std::{sync::Arc, time::Duration};

use axum::Router;
use countersign_authority::{
    Authority, Maintenance,
    accounts::administration::Administration,
    keys::{
        signing::SigningKeys,
        vault::{MasterKey, Vault},
    },
    model::{key_life::Signs, policy::Policy},
    ports::{Clock as _, Ports},
};
use countersign_guard::SelfSignedPolicy;
use countersign_memory::Capacity;
use countersign_protocol::{
    AuthenticationContext, UnixTime,
    proofs::target_uri::TargetUri,
    tokens::{issue::AccessTokenClaims, verify::AccessToken},
};
use countersign_server::{
    App, CorsOrigins, Dialects, RequestLimits, Settings, TrustedProxies, WebFiles, router,
};
use countersign_store::sqlite::{SqliteOptions, SqliteStore};
use countersign_testkit::{
    clock::FixedClock, forgetful_log::ForgetfulLog, random::SeededRandom, samples::EPOCH,
};
use tempfile::TempDir;

use super::{Call, Faults};

/// The origin by which clients know the application.
pub(crate) const ISSUER: &str = "https://auth.example";

pub(crate) const MASTER_KEY: &str =
    "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// How to set an application up; what a restart keeps.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) policy: Policy,
    pub(crate) settings: Settings,
    /// Ways to make the ports fail.
    pub(crate) faults: Option<Faults>,
    pub(crate) replay_log_capacity: u64,
    pub(crate) replay_log_share: u64,
    pub(crate) master_key: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            policy: Policy::new(TargetUri::parse(ISSUER).unwrap()),
            settings: Settings {
                limits: RequestLimits::default(),
                proxies: Arc::new(TrustedProxies::default()),
                metrics_readers: Vec::new(),
                cors: CorsOrigins::SameOrigin,
                dialects: no_dialects(),
                protected_origins: Vec::new(),
                self_signed: SelfSignedPolicy::default(),
                web: Some(Arc::new(WebFiles::embedded().unwrap())),
            },
            faults: None,
            replay_log_capacity: 10_000,
            replay_log_share: 10_000,
            master_key: MASTER_KEY,
        }
    }
}

fn no_dialects() -> Dialects {
    Dialects {
        gradecoin: false,
        jwks_server: false,
        passwordless: false,
        self_signed: false,
        signjwt: false,
    }
}

/// An application that runs.
pub(crate) struct TestApp {
    setup: Setup,
    pub(crate) clock: Arc<FixedClock>,
    starts: u64,
    /// When what it keeps in memory began, by the monotonic clock. At the first start that was an hour ago.
    started: Duration,
    /// What remembers the proofs that were used, since the last start.
    replay_log: Option<Arc<ForgetfulLog>>,
    running: Option<Running>,
    data_dir: TempDir,
}

struct Running {
    authority: Arc<Authority>,
    app: App,
    maintenance: Maintenance,
    ports: Ports,
    router: Router,
}

impl TestApp {
    /// With the defaults, on an empty database.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With what `change` makes of the defaults.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        change(&mut setup);
        let mut app = Self {
            setup,
            clock: Arc::new(FixedClock::default()),
            starts: 0,
            started: Duration::ZERO,
            replay_log: None,
            running: None,
            data_dir: tempfile::tempdir().unwrap(),
        };
        app.restart().await;
        app
    }

    /// Ends the application, as a crash would, and starts it on the same database with the same
    /// master key.
    pub(crate) async fn restart(&mut self) {
        self.running = None;
        self.starts += 1;
        if self.starts > 1 {
            self.started = self.clock.monotonic();
        }
        let mut ports = self.open_ports(self.starts);
        let log = self.fresh_replay_log();
        self.replay_log = Some(Arc::clone(&log));
        ports.state.replay_log = log;
        if let Some(faults) = &self.setup.faults {
            ports = faults.around(ports);
        }
        let vault = self.vault(&ports).await;
        let policy = self.setup.policy.clone();
        let authority = Arc::new(Authority::start(policy, ports.clone(), vault).await.unwrap());
        let app = App::new(Arc::clone(&authority), self.setup.settings.clone());
        let maintenance = Maintenance::new(Arc::clone(&authority));
        let router = router(&app);
        self.running = Some(Running { authority, app, maintenance, ports, router });
    }

    /// Restarts with other settings.
    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup);
        self.restart().await;
    }

    pub(crate) fn router(&self) -> Router {
        self.running().router.clone()
    }

    pub(crate) fn authority(&self) -> &Arc<Authority> {
        &self.running().authority
    }

    /// A request.
    pub(crate) fn call(&self, method: &str, uri: &str) -> Call {
        Call::new(self.router(), method, uri)
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.authority().core.now()
    }

    /// What `token` would be if its account had logged in by `login`.
    pub(crate) fn token_after(&self, login: AuthenticationContext, token: &str) -> String {
        let claims = AccessTokenClaims { authentication: Some(login), ..self.claims_of(token) };
        self.sign(&claims, self.authority().core.signing_keys())
    }

    /// What `token` would be if the process that has `keys` had issued it.
    pub(crate) fn token_by(&self, keys: &SigningKeys, token: &str) -> String {
        self.sign(&self.claims_of(token), keys)
    }

    fn claims_of(&self, token: &str) -> AccessTokenClaims {
        let (now, keys) = (self.now(), self.authority().core.signing_keys());
        let token = AccessToken::parse(token).unwrap();
        let key = keys.public_key(&token.kid().unwrap(), now).unwrap();
        token.verify_as_issuer(&key, ISSUER, Duration::ZERO, now).unwrap()
    }

    fn sign(&self, claims: &AccessTokenClaims, keys: &SigningKeys) -> String {
        keys.signer(Signs::AccessTokens, self.now()).unwrap().access_token(claims).unwrap()
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Lets the server be about to stop.
    pub(crate) fn drain(&self) {
        self.running().app.drain();
    }

    /// Sets the clock, forward or back.
    pub(crate) fn set_clock(&self, now: UnixTime) {
        self.clock.set(now);
    }

    /// A fresh nonce for the token endpoint.
    pub(crate) fn token_nonce(&self) -> String {
        self.authority().core.fresh_nonce()
    }

    /// A fresh nonce for the protected resources.
    pub(crate) fn resource_nonce(&self) -> String {
        self.running().app.guard.fresh_nonce()
    }

    /// What an administrator does in another process, on the same database.
    pub(crate) fn admin(&self) -> Administration {
        Administration::new(&self.open_ports(u64::MAX))
    }

    /// The signing keys as an administrator's process sees them.
    pub(crate) async fn admin_signing_keys(&self) -> SigningKeys {
        let ports = self.open_ports(u64::MAX);
        let vault = self.vault(&ports).await;
        let (store, schedules) = (ports.store, self.setup.policy.key_schedules());
        SigningKeys::load(store, &vault, schedules, self.now(), &*ports.random).await.unwrap()
    }

    /// Lets the application notice what an administrator did.
    pub(crate) async fn notice_changes(&self) {
        self.running().maintenance.take_over_changes().await.unwrap();
    }

    /// Writes down the refusals that still wait to be recorded.
    pub(crate) async fn write_trail(&self) {
        self.running().maintenance.write_trail().await;
    }

    /// Writes down which keys were used.
    pub(crate) async fn write_key_uses(&self) {
        self.running().maintenance.write_key_uses().await;
    }

    /// Does the housekeeping that is due.
    pub(crate) async fn maintain(&self) {
        self.running().maintenance.maintain().await.unwrap();
    }

    /// What the application stands on.
    pub(crate) fn ports(&self) -> &Ports {
        &self.running().ports
    }

    /// How long the files of the database are, in bytes.
    pub(crate) fn database_bytes(&self) -> u64 {
        let files = std::fs::read_dir(self.data_dir.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    }

    /// Empties the log of used proofs while the application runs, as may happen to one on another
    /// machine.
    pub(crate) fn forget_used_proofs(&self) {
        self.replay_log.as_ref().unwrap().forget(self.now());
    }

    /// Does so in the middle of the next request, when its proof was found to be new already.
    pub(crate) fn forget_used_proofs_in_next_request(&self) {
        self.replay_log.as_ref().unwrap().forget_before_next_use(self.now());
    }

    /// That of a start. Before the first, there was nothing to be used.
    fn fresh_replay_log(&self) -> Arc<ForgetfulLog> {
        let Setup { replay_log_capacity: capacity, replay_log_share: share, .. } = self.setup;
        let since = if self.starts == 1 { UnixTime::EPOCH } else { self.clock.now() };
        Arc::new(ForgetfulLog::new(capacity, share, since, self.starts))
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    async fn vault(&self, ports: &Ports) -> Vault {
        let master = MasterKey::parse(self.setup.master_key).unwrap();
        Vault::open(&*ports.store, &master, &*ports.random).await.unwrap()
    }

    /// The ports of another process, on the same database.
    fn open_ports(&self, seed: u64) -> Ports {
        let path = self.data_dir.path().join("countersign.db");
        let capacity = Capacity {
            limited: 1_000,
            keyring_tries: 1 << 20,
            used_proofs: self.setup.replay_log_capacity,
            used_proofs_share: self.setup.replay_log_share,
            sessions: 1_000,
            sessions_share: 500,
        };
        Ports {
            clock: Arc::clone(&self.clock) as _,
            random: Arc::new(SeededRandom::new(seed)),
            state: countersign_memory::state(&capacity, EPOCH, self.started),
            store: Arc::new(SqliteStore::open(&path, &SqliteOptions::default()).unwrap()),
        }
    }
}
