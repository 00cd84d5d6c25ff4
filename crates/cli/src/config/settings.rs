//! Every setting, with its default.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use countersign_authority::{
    key_life::KeySchedule,
    limits::{RateLimit, Retention, TurnLimits},
    names::{EmailNames, NamePolicy},
    policy::{Enrolment, Limits, MutualPolicy, PasswordPolicy, Policy, SessionPolicy, TokenPolicy},
};
use countersign_guard::{Reuse, SelfSignedPolicy};
use countersign_protocol::{
    Scopes,
    keys::{Algorithm, KeyPolicy},
    proofs::{body_hash::BodyHashes, dpop::ProofWindow, target_uri::TargetUri},
};
use countersign_server::{
    ConnectionLimits, CorsOrigins, Dialects, ForwardedHeader, KnownHosts, RequestLimits,
    Settings as TransportSettings, TlsFiles, TrustedProxies,
};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::machine;

macro_rules! settings {
    ($($(#[$doc:meta])* struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub(crate) struct $name { $($(#[$field_doc])* pub(crate) $field: $type,)+ }

            impl Default for $name {
                fn default() -> Self {
                    Self { $($field: $default,)+ }
                }
            }
        )+
    };
}

settings! {
    /// The whole configuration. Names are those of `countersign.toml`.
    struct Settings {
        /// The address to listen on.
        #[serde(deserialize_with = "listen")]
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// The origin by which clients know the server.
        issuer: Option<String> = None,
        /// Where database and master key lie.
        data_dir: PathBuf = PathBuf::from("countersign-data"),
        /// The database, in `data_dir` unless the path is absolute.
        database: PathBuf = PathBuf::from("countersign.db"),
        /// Certificate chain and key, PEM.
        tls: Option<TlsSettings> = None,
        /// Whether plain HTTP may be spoken to the network.
        insecure_http: bool = false,
        /// Networks of proxies whose forwarding headers are believed.
        trusted_proxies: Vec<String> = Vec::new(),
        /// The header in which they name the client: `x-forwarded-for` or `forwarded`.
        forwarded_header: String = "x-forwarded-for".to_owned(),
        /// Names besides the issuer's by which a server on a loopback address may be called.
        allowed_hosts: Vec<String> = Vec::new(),
        /// Who administers, as the audit trail shall name that person.
        actor: Option<String> = None,
        /// Why, for the audit trail.
        reason: Option<String> = None,
        /// `open`, `invited` or `closed`.
        enrolment: String = "open".to_owned(),
        /// Which names are given by invitation alone, and what becomes of unused accounts.
        accounts: AccountSettings = AccountSettings::default(),
        /// Scopes of new accounts, separated by spaces.
        default_scopes: Scopes = Scopes::none(),
        /// Resource servers besides this one that tokens may be for.
        resources: Vec<String> = Vec::new(),
        /// About logs.
        log: LogSettings = LogSettings::default(),
        /// About access tokens and proofs.
        tokens: TokenSettings = TokenSettings::default(),
        /// About the server's signing keys.
        signing_keys: SigningKeySettings = SigningKeySettings::default(),
        /// What one client may cost.
        limits: LimitSettings = LimitSettings::default(),
        /// How often a client may come.
        rate_limits: RateLimitSettings = RateLimitSettings::default(),
        /// How much of the audit trail is kept.
        audit: AuditSettings = AuditSettings::default(),
        /// From where `/metrics` may be read.
        metrics: MetricsSettings = MetricsSettings::default(),
        /// Which web pages may call.
        cors: CorsSettings = CorsSettings::default(),
        /// About proxies that ask who may pass.
        forward_auth: ForwardAuthSettings = ForwardAuthSettings::default(),
        /// Which dialects are spoken.
        dialects: Dialects = Dialects::default(),
        /// About JWTs that clients sign themselves.
        self_signed: SelfSignedSettings = SelfSignedSettings::default(),
        /// About the sessions of *signjwt*.
        signjwt: SignjwtSettings = SignjwtSettings::default(),
    }

    /// Accounts.
    struct AccountSettings {
        /// Names that are given by invitation alone, in any case of letters and with any separators.
        reserved_names: Vec<String> =
            NamePolicy::usually_reserved().iter().map(|name| (*name).to_owned()).collect(),
        /// Whether names with an `@` are given by invitation alone: `invited`, or else `open`.
        email_names: String = "invited".to_owned(),
        /// For how many days an account that anybody could make may wait to be used.
        unused_days: u64 = 7,
    }

    /// Logs.
    struct LogSettings {
        format: LogFormat = LogFormat::Human,
        level: String = "info".to_owned(),
    }

    /// Access tokens and proofs. Times in seconds.
    struct TokenSettings {
        lifetime: u64 = 900,
        nonce_lifetime: u64 = 300,
        proof_max_age: u64 = 60,
    }

    /// JWTs that clients sign themselves. Times in seconds.
    struct SelfSignedSettings {
        /// How far ahead `exp` may lie.
        max_lifetime: u64 = 300,
        /// `once`, or `until-expiry`: then whoever sees one can use it too.
        reuse: String = "once".to_owned(),
        /// Whether `aud` must name this server.
        require_audience: bool = false,
        /// Whether `tha`, the hash of the body, must be there.
        require_body_hash: bool = false,
        /// Whether `tha` may be MD5, as *gradecoin* has it; counts while that dialect is spoken.
        md5_body_hash: bool = true,
    }

    /// *signjwt*. Times in seconds.
    struct SignjwtSettings {
        nonce_lifetime: u64 = 30,
        session_lifetime: u64 = 1800,
    }

    /// The server's signing keys.
    struct SigningKeySettings {
        /// `ES256`, `EdDSA`, `ES384`, `RS256` or `PS256`.
        algorithm: String = "ES256".to_owned(),
        active_days: u64 = 30,
    }

    /// Sizes and numbers.
    struct LimitSettings {
        keys_per_account: usize = 16,
        /// How many keys an account may ever revoke; each is remembered for ever.
        revoked_keys_per_account: usize = 10_000,
        /// The largest RSA key that may be registered and sign, in bits.
        max_rsa_bits: u32 = KeyPolicy::default().max_rsa_bits,
        body_bytes: usize = 64 * 1024,
        /// How long a body may take to begin to arrive, in seconds.
        body_seconds: u64 = 5,
        /// How fast a body must arrive then.
        body_bytes_per_second: u32 = 2048,
        /// How many bodies may be arriving at once.
        uploads: usize = 4096,
        concurrent_requests: usize = 2048,
        connections: usize = 10_000,
        /// How many passwords are hashed at once, each in 64 MiB; 0 is as many as there are
        /// processors and memory for.
        password_hashers: usize = 0,
        /// How many passwords may wait to be hashed.
        password_queue: usize = 1280,
        /// How many accounts may wait for a key pair of *passwordless*.
        key_pair_queue: usize = 1280,
        /// How many used proofs are remembered at once; more are refused until some expire.
        replay_log_entries: u64 = 4_000_000,
        /// How much of what is finite one client network, or one account, may use, in percent.
        client_share: u8 = 5,
        /// How many *signjwt* sessions have a nonce at once; beyond, the oldest lose theirs.
        sessions: usize = 262_144,
        /// How many clients the rate limits keep count of.
        rate_limit_clients: usize = 65_536,
        /// With less of the disk free, in bytes, no account is made; 0 keeps nothing.
        disk_reserve_bytes: u64 = 16 << 20,
    }

    /// Requests per minute, for each client address or account.
    struct RateLimitSettings {
        enabled: bool = true,
        requests: u32 = Limits::default().requests.burst,
        /// Requests for what guards elsewhere need, a minute and client address.
        upkeep: u32 = Limits::default().upkeep.burst,
        registrations: u32 = Limits::default().registrations.burst,
        registrations_per_day: u32 = Limits::default().registrations_per_day.burst,
        /// Those for which a password is hashed or a key pair made.
        costly_registrations: u32 = Limits::default().costly_registrations.burst,
        logins: u32 = Limits::default().logins.burst,
        account: u32 = Limits::default().account.burst,
        /// Keys added and renamed, a day and account.
        key_changes_per_day: u32 = Limits::default().key_changes_per_day.burst,
        /// The same, a day and client network.
        key_changes_of_network_per_day: u32 =
            Limits::default().key_changes_of_network_per_day.burst,
    }

    /// The audit trail.
    struct AuditSettings {
        max_age_days: u64 = 90,
        max_events: u64 = 1_000_000,
        refusal_entries: u64 = 100_000,
        key_use_entries: u64 = 500_000,
    }

    /// `/metrics`.
    struct MetricsSettings {
        allow: Vec<String> = vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
    }

    /// Cross-origin requests.
    struct CorsSettings {
        origins: Vec<String> = Vec::new(),
    }

    /// `/forward-auth`.
    struct ForwardAuthSettings {
        /// What clients call the APIs that proxies protect by asking this server.
        origins: Vec<String> = Vec::new(),
    }
}

/// Certificate chain and private key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSettings {
    cert: PathBuf,
    key: PathBuf,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Settings {
    /// What the authority must know.
    pub(crate) fn policy(&self, origin: TargetUri) -> anyhow::Result<Policy> {
        let days = |days: u64| Duration::from_secs(days.saturating_mul(24 * 60 * 60));
        let bounded = |name: &str, value: u64, least: u64, most: u64| {
            ensure!((least..=most).contains(&value), "{name} is {least} to {most}, not {value}");
            Ok(Duration::from_secs(value))
        };
        let lifetime = bounded("tokens.lifetime", self.tokens.lifetime, 10, 86_400)?;
        let nonce_lifetime =
            bounded("tokens.nonce_lifetime", self.tokens.nonce_lifetime, 10, 3600)?;
        let proof_max_age = bounded("tokens.proof_max_age", self.tokens.proof_max_age, 5, 600)?;
        bounded("signing_keys.active_days", self.signing_keys.active_days, 1, 3650)?;
        let sessions = SessionPolicy {
            lifetime: bounded(
                "signjwt.session_lifetime",
                self.signjwt.session_lifetime,
                10,
                86_400,
            )?,
            nonce_lifetime: bounded(
                "signjwt.nonce_lifetime",
                self.signjwt.nonce_lifetime,
                1,
                3600,
            )?,
        };
        let min_rsa_bits = self.dialects.min_rsa_bits;
        bounded("accounts.unused_days", self.accounts.unused_days, 1, 36_500)?;
        let limits = &self.limits;
        bounded("limits.max_rsa_bits", limits.max_rsa_bits.into(), 2048, 8192)?;
        let max_rsa_bits = limits.max_rsa_bits;
        bounded("dialects.min_rsa_bits", min_rsa_bits.into(), 512, max_rsa_bits.into())?;
        limits.check_bounds()?;
        let algorithm = Algorithm::from_name(&self.signing_keys.algorithm)
            .context("signing_keys.algorithm is one of EdDSA, ES256, ES384, PS256, RS256")?;
        for resource in &self.resources {
            TargetUri::parse(resource).with_context(|| format!("resources: {resource:?}"))?;
        }
        let mut resources = self.resources.clone();
        let protected = self.protected_origins()?;
        resources.extend(protected.iter().map(|origin| origin.origin().to_owned()));
        Ok(Policy {
            enrolment: self.enrolment.parse::<Enrolment>().context("enrolment")?,
            default_scopes: self.default_scopes.clone(),
            names: NamePolicy::new(
                self.accounts.reserved_names.iter().map(String::as_str),
                self.accounts.email_names.parse::<EmailNames>().context("accounts.email_names")?,
            ),
            unused_account_lifetime: days(self.accounts.unused_days),
            max_keys_per_account: self.limits.keys_per_account,
            max_revoked_keys_per_account: self.limits.revoked_keys_per_account,
            keys: KeyPolicy { max_rsa_bits, ..KeyPolicy::default() },
            tokens: TokenPolicy { lifetime, resources, ..TokenPolicy::default() },
            proof_window: ProofWindow { past: proof_max_age, ..ProofWindow::default() },
            nonce_lifetime,
            signing_keys: KeySchedule {
                algorithm,
                active: days(self.signing_keys.active_days),
                ..KeySchedule::default()
            },
            passwords: self.dialects.jwks_server.then(|| PasswordPolicy {
                rate_limit: self.dialects.auth_rate_limit,
                turns: self.limits.turns(hashers(&self.limits), self.limits.password_queue),
                ..PasswordPolicy::default()
            }),
            sessions,
            mutual: MutualPolicy {
                min_rsa_bits,
                keys_ready: if self.dialects.passwordless {
                    MutualPolicy::default().keys_ready
                } else {
                    0
                },
                // Making keys takes half of the machine at most.
                turns: self.limits.turns((processors() / 2).max(1), self.limits.key_pair_queue),
            },
            retention: Retention {
                max_age: days(self.audit.max_age_days),
                max_events: self.audit.max_events,
                max_refusals: self.audit.refusal_entries,
                max_uses: self.audit.key_use_entries,
            },
            limits: self.rate_limits.enabled.then(|| self.rate_limits.to_limits()),
            ..Policy::new(origin)
        })
    }

    /// What the transport must know.
    pub(crate) fn transport(&self) -> anyhow::Result<TransportSettings> {
        let readers = self.metrics.allow.iter().map(|network| {
            network.parse().with_context(|| format!("metrics.allow: {network:?} is no network"))
        });
        let uploads =
            LimitSettings::fitting("limits.uploads", self.limits.uploads, self.limits.body_bytes);
        Ok(TransportSettings {
            limits: RequestLimits {
                body_bytes: self.limits.body_bytes,
                body_grace: Duration::from_secs(self.limits.body_seconds),
                body_bytes_per_second: self.limits.body_bytes_per_second,
                uploads,
                uploads_each: self.limits.share(uploads),
                concurrency: self.limits.concurrent_requests,
                concurrency_each: self.limits.share(self.limits.concurrent_requests),
                ..RequestLimits::default()
            },
            proxies: self.proxies()?,
            metrics_readers: readers.collect::<anyhow::Result<_>>()?,
            cors: CorsOrigins::parse(&self.cors.origins).context("cors.origins")?,
            dialects: self.dialects,
            protected_origins: self.protected_origins()?,
            self_signed: self.self_signed.to_policy(self.limits.body_bytes)?,
        })
    }

    fn proxies(&self) -> anyhow::Result<Arc<TrustedProxies>> {
        let header: ForwardedHeader = self.forwarded_header.parse().context("forwarded_header")?;
        let proxies = TrustedProxies::parse(&self.trusted_proxies).context("trusted_proxies")?;
        Ok(Arc::new(proxies.naming_clients_in(header)))
    }

    /// What the listener of the server at `issuer` must know.
    pub(crate) fn connections(&self, issuer: &TargetUri) -> anyhow::Result<ConnectionLimits> {
        let protected = self.protected_origins()?;
        let hosts = self.listen.ip().is_loopback().then(|| {
            let origins = std::iter::once(issuer).chain(&protected);
            Arc::new(KnownHosts::new(origins, self.allowed_hosts.iter().map(String::as_str)))
        });
        let connections =
            LimitSettings::fitting("limits.connections", self.limits.connections, CONNECTION_BYTES);
        Ok(ConnectionLimits {
            connections,
            connections_each: self.limits.share(connections),
            proxies: self.proxies()?,
            hosts,
            ..ConnectionLimits::default()
        })
    }

    /// Certificate and key, if TLS is spoken.
    pub(crate) fn tls_files(&self) -> Option<TlsFiles> {
        let tls = self.tls.as_ref()?;
        Some(TlsFiles { certificates: tls.cert.clone(), key: tls.key.clone() })
    }
}

/// Reads an address to listen on: an IP address and a port. A name, or a port alone, would leave open
/// which addresses are meant, and whether the network can reach them.
pub(crate) fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "{text:?} is not ADDR:PORT, an IP address and a port: 127.0.0.1:8080 for this machine \
             alone, 0.0.0.0:8080 for every network, [::1]:8080 or [::]:8080 for IPv6"
        )
    })
}

fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse_listen(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// What an open connection takes, in bytes: its buffers and its task.
const CONNECTION_BYTES: usize = 16 * 1024;
/// What an entry of the replay log takes, in bytes.
const REPLAY_ENTRY_BYTES: u64 = 40;

impl LimitSettings {
    fn check_bounds(&self) -> anyhow::Result<()> {
        let limits = self;
        for (name, value, least, most) in [
            ("limits.keys_per_account", limits.keys_per_account as u64, 1, 1000),
            (
                "limits.revoked_keys_per_account",
                limits.revoked_keys_per_account as u64,
                16,
                1_000_000,
            ),
            ("limits.body_bytes", limits.body_bytes as u64, 1024, 2 * 1024 * 1024),
            ("limits.concurrent_requests", limits.concurrent_requests as u64, 1, 1_000_000),
            ("limits.connections", limits.connections as u64, 1, 1_000_000),
            ("limits.body_seconds", limits.body_seconds, 1, 300),
            ("limits.body_bytes_per_second", limits.body_bytes_per_second.into(), 1, 1_000_000),
            ("limits.uploads", limits.uploads as u64, 1, 1_000_000),
            ("limits.password_hashers", limits.password_hashers as u64, 0, 1024),
            ("limits.password_queue", limits.password_queue as u64, 1, 1_000_000),
            ("limits.key_pair_queue", limits.key_pair_queue as u64, 1, 1_000_000),
            ("limits.replay_log_entries", limits.replay_log_entries, 1000, 1_000_000_000),
            ("limits.client_share", limits.client_share.into(), 1, 100),
            ("limits.rate_limit_clients", limits.rate_limit_clients as u64, 8, 10_000_000),
            ("limits.sessions", limits.sessions as u64, 8, 10_000_000),
        ] {
            ensure!((least..=most).contains(&value), "{name} is {least} to {most}, not {value}");
        }
        Ok(())
    }

    /// What one client may have of `all`: at least one.
    pub(crate) fn share_of(&self, all: u64) -> u64 {
        (u128::from(all) * u128::from(self.client_share) / 100).try_into().unwrap_or(all).max(1)
    }

    /// The same for things that are counted in memory.
    pub(crate) fn share(&self, all: usize) -> usize {
        usize::try_from(self.share_of(all as u64)).unwrap_or(all)
    }

    /// How many of `wanted` things of so many bytes there is memory for.
    fn fitting(setting: &str, wanted: usize, bytes: usize) -> usize {
        let fitting = machine::fitting(setting, wanted as u64, bytes as u64);
        usize::try_from(fitting).unwrap_or(wanted)
    }

    /// How many used proofs are remembered: as the setting says, as far as there is memory.
    pub(crate) fn replay_log(&self) -> u64 {
        machine::fitting("limits.replay_log_entries", self.replay_log_entries, REPLAY_ENTRY_BYTES)
    }

    fn turns(&self, at_once: usize, waiting: usize) -> TurnLimits {
        TurnLimits { at_once, waiting, each: at_once.saturating_add(self.share(waiting)) }
    }
}

/// How many passwords are hashed at once: as the setting says, but never more than there is memory
/// for.
fn hashers(limits: &LimitSettings) -> usize {
    let wanted = match limits.password_hashers {
        0 => processors(),
        wanted => wanted,
    };
    let fitting = machine::memory().map_or(wanted, machine::hashers_in);
    if fitting < wanted {
        tracing::warn!(
            wanted,
            fitting,
            "this process may not use enough memory to hash so many passwords at once, each in 64 MiB"
        );
    }
    wanted.min(fitting)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl SelfSignedSettings {
    fn to_policy(&self, body_bytes: usize) -> anyhow::Result<SelfSignedPolicy> {
        let max_lifetime = self.max_lifetime;
        let in_range = (10..=3600).contains(&max_lifetime);
        ensure!(in_range, "self_signed.max_lifetime is 10 to 3600, not {max_lifetime}");
        let reuse = match self.reuse.as_str() {
            "once" => Reuse::Once,
            "until-expiry" => Reuse::UntilExpiry,
            other => bail!("self_signed.reuse is once or until-expiry, not {other:?}"),
        };
        let md5 = self.md5_body_hash;
        Ok(SelfSignedPolicy {
            max_lifetime: Duration::from_secs(max_lifetime),
            require_audience: self.require_audience,
            require_body_hash: self.require_body_hash,
            body_hashes: if md5 { BodyHashes::Sha256OrMd5 } else { BodyHashes::Sha256 },
            max_hashed_body: body_bytes,
            reuse,
            ..SelfSignedPolicy::default()
        })
    }
}

impl RateLimitSettings {
    fn to_limits(&self) -> Limits {
        let with = |limit: RateLimit, burst| RateLimit { burst, ..limit };
        let default = Limits::default();
        Limits {
            requests: with(default.requests, self.requests),
            upkeep: with(default.upkeep, self.upkeep),
            registrations: with(default.registrations, self.registrations),
            registrations_per_day: with(default.registrations_per_day, self.registrations_per_day),
            costly_registrations: with(default.costly_registrations, self.costly_registrations),
            logins: with(default.logins, self.logins),
            account: with(default.account, self.account),
            key_changes_per_day: with(default.key_changes_per_day, self.key_changes_per_day),
            key_changes_of_network_per_day: with(
                default.key_changes_of_network_per_day,
                self.key_changes_of_network_per_day,
            ),
            ..default
        }
    }
}
