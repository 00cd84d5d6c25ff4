//! The settings of a resource server, and the guard in front of it.

use std::{sync::Arc, time::Duration};

use countersign_client::{ClientError, Transport, TransportOptions};
use countersign_guard::{
    AcrossRestarts, Guard, GuardPolicy, GuardPorts, Proofs, SelfSignedPolicy, SelfSignedProofs,
    metadata_path,
    ports::{Clock, ReplayLog},
};
use countersign_protocol::{
    AuthenticationClass, UnixTime,
    keys::PrivateKey,
    ports::Random,
    proofs::target_uri::{InvalidUri, TargetUri},
};
use countersign_system::{SystemClock, SystemRandom};
use thiserror::Error;
use tokio::runtime::Handle;

use crate::{
    account_keys::RemoteAccountKeys,
    introspection::{Caller, Introspection},
    issuer::Issuer,
    jwks::Jwks,
    nonce_key::{NonceKey, NonceSecret},
    remote_guard::{KeptFresh, RemoteGuard},
    revocations::{Feed, Freshness},
    sessions::RemoteSessions,
    shared_state::SharedStateError,
    single_use::{Settings as SingleUseSettings, SharedState, SingleUse},
    standing::RemoteStanding,
    upkeep::{Fresh, keep_up},
};

/// The settings of a service whose users log in at an authentication server elsewhere.
pub struct ResourceServer {
    policy: GuardPolicy,
    dpop: bool,
    self_signed: Option<SelfSignedPolicy>,
    signed_messages: bool,
    bearer: bool,
    freshness: Freshness,
    caller: Option<Caller>,
    scopes: Vec<String>,
    transport: TransportOptions,
    replay_log: Option<Arc<dyn ReplayLog>>,
    shared_state: SharedState,
    nonce_secret: Option<NonceSecret>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl ResourceServer {
    /// A service that clients reach under `origin` (scheme, host and port), and whose tokens come
    /// from `issuer`. By default it accepts DPoP-bound access tokens that name `origin` in `aud`, and
    /// learns of revocations within 10 seconds.
    ///
    /// # Errors
    /// When `origin` is no `http` or `https` origin.
    pub fn new(issuer: &str, origin: &str) -> Result<Self, NotStarted> {
        let uri = TargetUri::parse(origin)?;
        let audience = uri.origin().to_owned();
        if uri.path() != "/" {
            return Err(NotStarted::Origin(InvalidUri));
        }
        let policy = GuardPolicy::new(issuer.trim_end_matches('/'), audience, uri);
        let freshness = Freshness {
            max_lag: Duration::from_secs(10),
            outage: Duration::from_mins(15),
            skew: policy.skew,
        };
        Ok(Self {
            policy,
            dpop: true,
            self_signed: None,
            signed_messages: false,
            bearer: false,
            freshness,
            caller: None,
            scopes: Vec::new(),
            transport: TransportOptions {
                connect_timeout: Duration::from_secs(2),
                timeout: Duration::from_secs(5),
                max_response_bytes: 8 * 1024 * 1024,
                ..TransportOptions::default()
            },
            replay_log: None,
            shared_state: SharedState::Alone,
            nonce_secret: None,
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom),
        })
    }

    /// The value that tokens must name in `aud`, in place of the origin. If it is a URL at the
    /// origin, the metadata are served at a path made from it ([`RemoteGuard::metadata_path`]);
    /// otherwise there are no metadata.
    pub fn audience(mut self, audience: &str) -> Self {
        audience.clone_into(&mut self.policy.audience);
        self
    }

    /// Whether DPoP-bound access tokens are accepted. By default they are.
    pub fn accept_dpop(mut self, accept: bool) -> Self {
        self.dpop = accept;
        self
    }

    /// Accepts JWTs that accounts sign themselves. Whatever `policy` says, their `aud` must name
    /// this service: another service that knows the account would accept a JWT without `aud` from
    /// anybody who received it.
    pub fn accept_self_signed(mut self, policy: SelfSignedPolicy) -> Self {
        self.self_signed = Some(SelfSignedPolicy { require_audience: true, ..policy });
        self
    }

    /// In place of [`Self::accept_self_signed`]: JWTs count that accounts sign over the body of their
    /// request, and `aud` may be left out. Whatever `policy` says, `tha` must be there, so that whoever
    /// receives such a JWT has the one body that was signed, and no other, to bring to the next service;
    /// and there it works only if that service takes bodies without `aud` too. It covers neither method nor URL: let the body say all that a request does, and give
    /// such JWTs nothing to read. An `aud` that is there must be this service alone.
    pub fn accept_signed_bodies(mut self, policy: SelfSignedPolicy) -> Self {
        let policy =
            SelfSignedPolicy { require_audience: false, require_body_hash: true, ..policy };
        self.self_signed = Some(policy);
        self
    }

    /// Accepts signatures over nonce and session. The issuer is asked about each of them.
    pub fn accept_signed_messages(mut self) -> Self {
        self.signed_messages = true;
        self
    }

    /// Accepts tokens that are bound to no key: anybody who gets hold of one can use it. They name
    /// no API, so each works at every API that accepts such tokens of the same issuer, not at yours
    /// alone.
    pub fn accept_bearer(mut self) -> Self {
        self.bearer = true;
        self
    }

    /// Requires of every principal a login of the class `acr` (RFC 9470). A layer can require it of some:
    /// [`GuardLayer::require_acr`](countersign_guard::GuardLayer::require_acr).
    pub fn require_acr(mut self, acr: AuthenticationClass) -> Self {
        self.policy.login.acr = Some(acr);
        self
    }

    /// Requires of every principal a login that is at most `max_age` old (RFC 9470). The
    /// [skew](Self::skew) is added to it.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.policy.login.max_age = Some(max_age);
        self
    }

    /// How long a revocation may stay unknown here while the issuer can be reached; at least 4
    /// seconds.
    pub fn max_lag(mut self, max_lag: Duration) -> Self {
        self.freshness.max_lag = max_lag.max(Duration::from_secs(4));
        self
    }

    /// For how long to go on with the last known revocations while the issuer cannot be reached.
    /// After that, nothing is accepted, or [introspection](Self::introspect_with) decides.
    pub fn outage(mut self, outage: Duration) -> Self {
        self.freshness.outage = outage;
        self
    }

    /// How far the clocks of issuer, clients and this service may be apart.
    pub fn skew(mut self, skew: Duration) -> Self {
        self.policy.skew = skew;
        self.freshness.skew = skew;
        self
    }

    /// Asks the issuer about each token when the last known revocations are too old. It asks as the
    /// account `subject`, which has the scope `introspect` at the issuer and the key `key`.
    pub fn introspect_with(mut self, subject: &str, key: PrivateKey) -> Self {
        self.caller = Some(Caller { subject: subject.to_owned(), key });
        self
    }

    /// The scopes that the metadata name.
    pub fn scopes_supported<S: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Limits and trust for requests to the issuer.
    pub fn transport(mut self, options: TransportOptions) -> Self {
        self.transport = options;
        self
    }

    /// How this process shares nonces and used proofs with other processes of this machine that
    /// guard the same service. Without sharing, each process refuses the nonces of the others, and
    /// so most requests.
    ///
    /// It costs a request about four microseconds. Without it one process alone remembers used proofs
    /// in its own memory.
    pub fn shared_state(mut self, state: SharedState) -> Self {
        self.shared_state = state;
        self
    }

    /// A secret of at least 32 bytes, from which several machines derive the same nonces.
    ///
    /// *Price.* A machine does not know the proofs that were used at the others. Within the minute
    /// in which it is fresh, a stolen proof works once at each other machine. If the load balancer
    /// sends each client always to the same machine, a thief can use it at no other either.
    ///
    /// # Errors
    /// When it is too short.
    pub fn nonce_secret(mut self, secret: &[u8]) -> Result<Self, NotStarted> {
        let too_short = NotStarted::NonceSecret { least: NonceSecret::LEAST, length: secret.len() };
        self.nonce_secret = Some(NonceSecret::new(secret).ok_or(too_short)?);
        Ok(self)
    }

    /// The log of used proofs, in place of this process' memory and of the [shared
    /// state](Self::shared_state). Nonces are those of the epoch that it is in.
    pub fn replay_log(mut self, log: Arc<dyn ReplayLog>) -> Self {
        self.replay_log = Some(log);
        self
    }

    /// The clock and the source of randomness, in place of the machine's.
    pub fn ports(mut self, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        (self.clock, self.random) = (clock, random);
        self
    }

    /// Makes the guard, and begins to fetch what it needs. It ends with the last guard or layer.
    ///
    /// # Errors
    /// Outside of a tokio runtime, when the extra certificates cannot be used, when there is no place
    /// for the shared state, and when a login is required that no accepted proof could name.
    pub fn start(self) -> Result<RemoteGuard, NotStarted> {
        if !self.dpop && !self.policy.login.is_none() {
            return Err(NotStarted::NoLogins);
        }
        let runtime = Handle::try_current().map_err(|_| NotStarted::NoRuntime)?;
        let Parts { issuer, fresh } = self.parts()?;
        let period = fresh.feed.period();
        runtime.spawn(keep_up(Arc::downgrade(&fresh), period));
        let scopes = self.scopes.clone();
        let metadata_path = self.metadata_path();
        let guard = self.guard(&issuer, &fresh)?;
        Ok(RemoteGuard { guard, fresh, scopes: scopes.into(), metadata_path })
    }

    /// Where the metadata of the service are (RFC 9728 §3.1), if it has any: its audience must be a
    /// URL at its origin.
    pub fn metadata_path(&self) -> Option<String> {
        metadata_path(&self.policy.origin, &self.policy.audience)
    }

    fn parts(&self) -> Result<Parts, NotStarted> {
        let transport = Transport::new(self.transport.clone())?;
        let issuer = Arc::new(Issuer::new(self.policy.issuer.clone(), transport));
        let jwks = Arc::new(Jwks::new(Arc::clone(&issuer), Arc::clone(&self.clock)));
        let feed = Feed::new(
            Arc::clone(&issuer),
            Arc::clone(&jwks),
            Arc::clone(&self.clock),
            self.freshness,
        );
        Ok(Parts { issuer, fresh: Arc::new(Fresh { jwks, feed: Arc::new(feed) }) })
    }

    fn guard(mut self, issuer: &Arc<Issuer>, fresh: &Arc<Fresh>) -> Result<Guard, NotStarted> {
        let metadata_path = self.metadata_path();
        let origin = self.policy.origin.origin();
        self.policy.metadata_url = metadata_path.map(|path| format!("{origin}{path}"));
        let (clock, random) = (self.clock, self.random);
        let SingleUse { log, nonces } = SingleUse::new(SingleUseSettings {
            service: (self.policy.issuer.clone(), self.policy.origin.origin().to_owned()),
            log: self.replay_log,
            shared: self.shared_state,
            nonce_key: NonceKey::new(self.nonce_secret.as_ref(), self.policy.skew),
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
        })?;
        let account_keys = RemoteAccountKeys::new(
            Arc::clone(issuer),
            Arc::clone(&fresh.feed),
            Arc::clone(&clock),
            self.freshness.outage,
        );
        let across =
            || AcrossRestarts { not_before: UnixTime::EPOCH, durable: None, others: false };
        let self_signed = self.self_signed.map(|policy| SelfSignedProofs {
            policy,
            keys: Arc::new(account_keys),
            across_restarts: log.is_volatile().then(across),
        });
        let sessions = || Arc::new(RemoteSessions::new(Arc::clone(issuer))) as _;
        let proofs = Proofs {
            dpop: self.dpop,
            self_signed,
            signed_messages: self.signed_messages.then(sessions),
            bearer: self.bearer,
        };
        let introspection = self.caller.map(|caller| {
            let lag = self.freshness.max_lag;
            Introspection::new(
                Arc::clone(issuer),
                Arc::clone(&clock),
                Arc::clone(&random),
                caller,
                lag,
            )
        });
        let standing = RemoteStanding { feed: Arc::clone(&fresh.feed), introspection };
        let ports = GuardPorts {
            clock,
            issuer_keys: Arc::new(KeptFresh(Arc::clone(fresh))),
            replay_log: log,
            standing: Arc::new(standing),
        };
        Ok(Guard::accepting(proofs, self.policy, ports, nonces))
    }
}

struct Parts {
    issuer: Arc<Issuer>,
    fresh: Arc<Fresh>,
}

/// Why there is no guard.
#[derive(Debug, Error)]
pub enum NotStarted {
    /// Every principal must have logged in in some way, but access tokens, which alone say how, are not
    /// accepted.
    #[error(
        "a login is required (require_acr, max_age), but only DPoP-bound access tokens say how an \
         account logged in: accept them, or require no login"
    )]
    NoLogins,
    /// The upkeep needs a runtime to run on.
    #[error("a tokio runtime is needed")]
    NoRuntime,
    /// The origin is no `http` or `https` origin.
    #[error("the origin must be scheme, host and port alone, such as https://api.example.com")]
    Origin(#[from] InvalidUri),
    /// The settings of the transport cannot be used.
    #[error(transparent)]
    Transport(#[from] ClientError),
    /// The processes of this machine have no place for what they share.
    #[error(transparent)]
    SharedState(#[from] SharedStateError),
    /// It could be guessed.
    #[error("the nonce secret must be at least {least} bytes, not {length}")]
    NonceSecret {
        /// The least length, in bytes.
        least: usize,
        /// Its length.
        length: usize,
    },
}
