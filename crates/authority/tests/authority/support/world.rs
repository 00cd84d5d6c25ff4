//! A whole authority on a real store, and clients that speak to it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use countersign_authority::{
    Authority,
    accounts::{
        registration::{PresentedKey, Registered, Registration},
        registration_error::RegistrationError,
    },
    core::dpop::PresentedDpop,
    keys::vault::{MasterKey, Vault},
    login::{
        assertion::{Caller, CallerAuthentication, CallerError},
        jwt_bearer::{LoginError, TokenRequest},
    },
    model::{
        audit::{AuditEvent, AuditFilter},
        credential::Remember,
        policy::Policy,
    },
    ports::Ports,
    tokens::issuance::Grant,
};
use countersign_memory::Capacity;
use countersign_protocol::{
    AccountId,
    keys::PrivateKey,
    proofs::target_uri::TargetUri,
    replay::LogEpoch,
    tokens::{issue::AccessTokenClaims, jws, verify::AccessToken},
};
use countersign_store::sqlite::{SqliteOptions, SqliteStore};
use countersign_testkit::{clock::FixedClock, random::SeededRandom, samples::EPOCH};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The issuer of every test.
pub(crate) const ISSUER: &str = "https://auth.example.org";

/// How much short-lived state there is.
const CAPACITY: Capacity = Capacity {
    limited: 1000,
    keyring_tries: 1000,
    used_proofs: 1000,
    used_proofs_share: 1000,
    sessions: 1000,
    sessions_share: 1000,
};

/// Where every client sits.
pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// An authority and what it stands on.
pub(crate) struct World {
    pub(crate) authority: Arc<Authority>,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) ports: Ports,
    serial: AtomicU64,
    _directory: TempDir,
}

/// A login as a client attempts it. What is `None` is what an ordinary client sends.
#[derive(Clone, Default)]
pub(crate) struct Login<'a> {
    /// `sub` and `iss` of the assertion.
    pub(crate) subject: String,
    /// `kid` of the assertion.
    pub(crate) kid: Option<String>,
    /// `cnf.jkt` of the assertion.
    pub(crate) vouched: Option<&'a PrivateKey>,
    /// The signer of the proof, if it is not that of the assertion.
    pub(crate) prover: Option<&'a PrivateKey>,
    /// `jti` of the assertion.
    pub(crate) jti: Option<String>,
    pub(crate) scope: Option<&'a str>,
    pub(crate) resources: &'a [&'a str],
}

impl Login<'_> {
    pub(crate) fn of(subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), ..Self::default() }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}, |_| {}).await
    }

    /// A world with another policy, on other ports.
    pub(crate) async fn with(
        policy: impl FnOnce(&mut Policy),
        ports: impl FnOnce(&mut Ports),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("countersign.db");
        let clock = Arc::new(FixedClock::default());
        let mut world_ports = Ports {
            clock: Arc::clone(&clock) as _,
            random: Arc::new(SeededRandom::new(1)),
            state: countersign_memory::state(&CAPACITY, EPOCH, Duration::ZERO),
            store: Arc::new(SqliteStore::open(&path, &SqliteOptions::default()).unwrap()),
        };
        ports(&mut world_ports);
        let ports = world_ports;
        let mut rules = Policy::new(uri(""));
        policy(&mut rules);
        let vault = open_vault(&ports).await;
        let authority = Authority::start(rules, ports.clone(), vault).await.unwrap();
        let (authority, serial) = (Arc::new(authority), AtomicU64::new(0));
        Self { authority, clock, ports, serial, _directory: directory }
    }

    /// The vault of this world, opened again, as another process would.
    pub(crate) async fn vault(&self) -> Vault {
        open_vault(&self.ports).await
    }

    /// The server of this world, started once more: what it remembered of used proofs is gone.
    pub(crate) async fn restarted(&self) -> Arc<Authority> {
        let (policy, mut ports) = (self.authority.core.policy().clone(), self.ports.clone());
        let epoch = LogEpoch::begin(&*ports.random, ports.clock.now());
        ports.state = countersign_memory::state(&CAPACITY, epoch, Duration::ZERO);
        Arc::new(Authority::start(policy, ports, self.vault().await).await.unwrap())
    }

    /// Registers `name` with `key`.
    pub(crate) async fn register(
        &self,
        name: &str,
        key: &PrivateKey,
    ) -> Result<Registered, RegistrationError> {
        self.register_in(None, name, key).await
    }

    /// Registers `name` with `key`, the key of a browser that is to be remembered like that.
    pub(crate) async fn register_in(
        &self,
        remember: Option<Remember>,
        name: &str,
        key: &PrivateKey,
    ) -> Result<Registered, RegistrationError> {
        let proof = self.proof(key, &uri("/v1/accounts"));
        self.register_by(&proof, remember, name, key).await
    }

    /// Registers `name` with `key`, by a proof that was made before.
    pub(crate) async fn register_by(
        &self,
        proof: &str,
        remember: Option<Remember>,
        name: &str,
        key: &PrivateKey,
    ) -> Result<Registered, RegistrationError> {
        let uri = uri("/v1/accounts");
        let registration = Registration {
            username: name,
            public_key: PresentedKey::Jwk(&key.public_key().to_jwk()),
            label: None,
            enrolment_code: None,
            proof: PresentedDpop { fields: &[proof.as_bytes()], method: "POST", uri: &uri },
            passkey: None,
            remember,
            address: ADDRESS,
            user_agent: None,
        };
        self.authority.accounts.register(registration).await
    }

    /// Logs in with `key`.
    pub(crate) async fn login(
        &self,
        key: &PrivateKey,
        login: &Login<'_>,
    ) -> Result<Grant, LoginError> {
        let proof = self.proof(login.prover.unwrap_or(key), &uri("/oauth/token"));
        self.login_with(key, login, &proof).await
    }

    /// Logs in with `key` and a proof that was made before.
    pub(crate) async fn login_with(
        &self,
        key: &PrivateKey,
        login: &Login<'_>,
        proof: &str,
    ) -> Result<Grant, LoginError> {
        let uri = uri("/oauth/token");
        let request = TokenRequest {
            assertion: &self.assertion(key, login),
            scope: login.scope,
            resources: login.resources,
            client_id: None,
            client_assertion: None,
            proof: PresentedDpop { fields: &[proof.as_bytes()], method: "POST", uri: &uri },
            address: ADDRESS,
            user_agent: None,
        };
        self.authority.login.login(request).await
    }

    /// Authenticates one call with `key`.
    pub(crate) async fn call(
        &self,
        key: &PrivateKey,
        login: &Login<'_>,
        client_id: Option<&str>,
    ) -> Result<Caller, CallerError> {
        let assertion = &self.assertion(key, login);
        let presented = CallerAuthentication { assertion, client_id, address: ADDRESS };
        self.authority.login.authenticate_caller(presented).await
    }

    /// A fresh proof by `key` for a POST to `uri`, with the nonce that the token endpoint demands.
    pub(crate) fn proof(&self, key: &PrivateKey, uri: &TargetUri) -> String {
        self.proof_saying(key, uri, Value::Null)
    }

    /// The same with a nonce, whatever `uri` demands.
    pub(crate) fn proof_with_nonce(&self, key: &PrivateKey, uri: &TargetUri) -> String {
        let nonce = self.authority.core.fresh_nonce();
        self.proof_of(key, uri, &json!({ "nonce": nonce }))
    }

    /// A proof that `key` is to be added to that account.
    pub(crate) fn new_key_proof(
        &self,
        key: &PrivateKey,
        uri: &TargetUri,
        account: AccountId,
    ) -> String {
        self.proof_saying(key, uri, account.to_string().into())
    }

    fn proof_saying(&self, key: &PrivateKey, uri: &TargetUri, subject: Value) -> String {
        let mut more = json!({});
        if uri.path() == "/oauth/token" {
            more["nonce"] = self.authority.core.fresh_nonce().into();
        }
        if !subject.is_null() {
            more["sub"] = subject;
        }
        self.proof_of(key, uri, &more)
    }

    fn proof_of(&self, key: &PrivateKey, uri: &TargetUri, more: &Value) -> String {
        let header = json!({ "typ": "dpop+jwt", "jwk": key.public_key().to_jwk() });
        let mut payload = json!({
            "jti": self.serial(),
            "htm": "POST",
            "htu": uri.as_str(),
            "iat": self.authority.core.now().as_secs(),
        });
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        sign(key, &header, &payload)
    }

    /// What the audit trail says, newest first, the refusals that were just noted included.
    pub(crate) async fn trail(&self) -> Vec<AuditEvent> {
        let maintenance = countersign_authority::Maintenance::new(Arc::clone(&self.authority));
        maintenance.write_trail().await;
        let events = self.ports.store.events(&AuditFilter::default(), 1000).await.unwrap();
        events.into_iter().map(|recorded| recorded.event).collect()
    }

    /// What a token that the authority issued says.
    pub(crate) fn claims(&self, token: &str) -> AccessTokenClaims {
        let now = self.authority.core.now();
        let token = AccessToken::parse(token).unwrap();
        let key =
            self.authority.core.signing_keys().public_key(&token.kid().unwrap(), now).unwrap();
        token.verify_as_issuer(&key, ISSUER, Duration::ZERO, now).unwrap()
    }

    fn assertion(&self, key: &PrivateKey, login: &Login<'_>) -> String {
        let mut header = json!({ "typ": "JWT" });
        if let Some(kid) = &login.kid {
            header["kid"] = kid.as_str().into();
        }
        let mut payload = json!({
            "iss": login.subject,
            "sub": login.subject,
            "aud": ISSUER,
            "exp": self.authority.core.now().as_secs() + 60,
            "jti": login.jti.clone().unwrap_or_else(|| self.serial()),
        });
        if let Some(vouched) = login.vouched {
            payload["cnf"] = json!({ "jkt": vouched.public_key().thumbprint().to_string() });
        }
        sign(key, &header, &payload)
    }

    fn serial(&self) -> String {
        format!("serial-{}", self.serial.fetch_add(1, SeqCst))
    }
}

/// The URI of `path` at the issuer.
pub(crate) fn uri(path: &str) -> TargetUri {
    TargetUri::parse(&format!("{ISSUER}{path}")).unwrap()
}

async fn open_vault(ports: &Ports) -> Vault {
    let master = MasterKey::parse(&"5e".repeat(32)).unwrap();
    Vault::open(&*ports.store, &master, &SeededRandom::new(2)).await.unwrap()
}

fn sign(key: &PrivateKey, header: &Value, payload: &Value) -> String {
    let (header, payload) = (header.as_object().unwrap(), payload.as_object().unwrap());
    jws::sign(key, key.algorithm(), header, payload).unwrap()
}
