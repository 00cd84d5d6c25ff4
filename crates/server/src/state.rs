//! What the handlers share: the authority, the guards, the metrics and the settings.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use countersign_authority::{
    Authority,
    model::{passkey::PasskeyPolicy, policy::Policy},
};
use countersign_guard::{
    Guard, GuardPolicy, GuardPorts, Proofs, SelfSignedPolicy, SelfSignedProofs,
};
use countersign_protocol::proofs::target_uri::TargetUri;
use ipnet::IpNet;

use crate::{
    dialects::{proofs, switches::Dialects},
    forward_auth::protected_origins::ProtectedOrigins,
    guard_ports::InProcessGuardPorts,
    http::{address::TrustedProxies, jwks_answer::JwksAnswer},
    layers::{cors::CorsOrigins, limits::RequestLimits},
    metrics::Metrics,
    web_app::{PasskeysHere, Site, WebFiles},
};

/// What the handlers share. Cloning is cheap.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// What an [`App`] consists of.
pub struct Shared {
    /// Decides.
    pub authority: Arc<Authority>,
    /// Guards the protected resources.
    pub guard: Guard,
    /// What stands behind proxies that ask this server who may pass.
    pub(crate) protected: ProtectedOrigins,
    /// Counts.
    pub metrics: Arc<Metrics>,
    pub(crate) jwks: JwksAnswer,
    draining: AtomicBool,
    /// The account app, if there is one.
    pub(crate) site: Option<Site>,
    /// The transport's settings.
    pub settings: Settings,
}

/// The settings of the transport, which the authority knows nothing of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What one request may cost.
    pub limits: RequestLimits,
    /// The proxies that may name the client's address.
    pub proxies: Arc<TrustedProxies>,
    /// From where `/metrics` may be read.
    pub metrics_readers: Vec<IpNet>,
    /// Which web pages may call.
    pub cors: CorsOrigins,
    /// Which dialects are spoken.
    pub dialects: Dialects,
    /// The origins that proxies protect by asking this server (`/forward-auth`). Only
    /// [`Self::proxies`] may ask.
    pub protected_origins: Vec<TargetUri>,
    /// What is demanded of self-signed JWTs. Other names and MD5 count only where
    /// a dialect that is spoken has them.
    pub self_signed: SelfSignedPolicy,
    /// The files of the account app; `None` switches it off.
    pub web: Option<Arc<WebFiles>>,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// The application over `authority`.
    pub fn new(authority: Arc<Authority>, settings: Settings) -> Self {
        let ports = Arc::new(InProcessGuardPorts(Arc::clone(&authority)));
        let proofs = proofs::accepted(settings.dialects, settings.self_signed, &ports);
        let ports = GuardPorts {
            clock: authority.core.clock(),
            issuer_keys: Arc::clone(&ports) as _,
            replay_log: authority.core.replay_log(),
            standing: ports,
        };
        let guard_of = |origin: &TargetUri, proofs: Proofs| {
            let policy = guard_policy(authority.core.policy(), origin);
            Guard::accepting(proofs, policy, ports.clone(), authority.core.resource_nonces())
        };
        let protect = |origin: &TargetUri| guard_of(origin, of_others(proofs.clone()));
        Self(Arc::new(Shared {
            protected: ProtectedOrigins::new(&settings.protected_origins, protect),
            guard: guard_of(&authority.core.policy().origin, proofs.clone()),
            metrics: Arc::new(Metrics::new()),
            jwks: JwksAnswer::default(),
            draining: AtomicBool::new(false),
            site: settings.web.as_ref().map(|files| site(files, authority.core.policy())),
            settings,
            authority,
        }))
    }

    /// From now on the server says that it is not ready, and serves on: it is about to stop, and requests
    /// shall go to another one.
    pub fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }
}

/// The proofs that are accepted for other APIs. A self-signed JWT must name the API: without an
/// `aud`, a server that received it could be the first to use it elsewhere.
fn of_others(proofs: Proofs) -> Proofs {
    let self_signed = proofs.self_signed.map(|proofs| SelfSignedProofs {
        policy: SelfSignedPolicy { require_audience: true, ..proofs.policy },
        ..proofs
    });
    Proofs { self_signed, ..proofs }
}

fn site(files: &WebFiles, policy: &Policy) -> Site {
    let can_be = PasskeyPolicy::of_issuer(&policy.origin).is_some();
    let passkeys = match (&policy.passkeys, can_be) {
        (Some(_), _) => PasskeysHere::On,
        (None, true) => PasskeysHere::Off,
        (None, false) => PasskeysHere::Impossible,
    };
    Site::new(files, policy.issuer(), passkeys)
}

fn guard_policy(policy: &Policy, origin: &TargetUri) -> GuardPolicy {
    GuardPolicy {
        skew: policy.skew,
        proof_window: policy.proof_window,
        keys: policy.keys.clone(),
        ..GuardPolicy::new(policy.issuer(), origin.origin(), origin.clone())
    }
}
