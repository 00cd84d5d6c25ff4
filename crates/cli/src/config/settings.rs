//! Every setting: its name, its type, its default and its bounds.

use std::path::PathBuf;

use anyhow::ensure;
use countersign_authority::model::{
    keyring::KeyringPolicy,
    names::NamePolicy,
    policy::{Limits, MutualPolicy},
};
use countersign_protocol::{Scopes, keys::KeyPolicy};
use serde::Deserialize;

use super::{
    form::{Bounds, Form, Setting, unit},
    listen::Listen,
    values::{LogFormat, Secret, StatePlace, TlsSettings},
};

/// Declares sections of settings. A field is `name: type = default`, and `=> least..=most` where a number
/// has bounds. Everything else follows from that: what the file may say, the variables, and the check.
macro_rules! settings {
    ($($(#[$doc:meta])* struct $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr $(=> $least:literal..=$most:literal)?,)+
    })+) => {
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

            impl Setting for $name {
                const FORM: Form = Form::Section(&[
                    $((stringify!($field), <$type as Setting>::FORM $(.within($least, $most))?),)+
                ]);

                fn check(&self, path: &str) -> anyhow::Result<()> {
                    $(
                        let own = [path, stringify!($field)].concat();
                        $(
                            ensure!(
                                ($least..=$most).contains(&self.$field),
                                "{own} is {}{}, not {}", Bounds::new($least, $most), unit(&own), self.$field,
                            );
                        )?
                        self.$field.check(&(own + "."))?;
                    )+
                    Ok(())
                }
            }
        )+
    };
}

settings! {
    /// The whole configuration. Names are those of `countersign.toml`.
    struct Settings {
        /// Where to listen: an address, or `localhost`.
        listen: Listen = Listen::Localhost(8080),
        /// The origin by which clients know the server.
        issuer: Option<String> = None,
        /// Where database and master key lie.
        data_dir: PathBuf = PathBuf::from("countersign-data"),
        /// The database, in `data_dir` unless the path is absolute.
        database: PathBuf = PathBuf::from("countersign.db"),
        /// The PostgreSQL database, in place of the file.
        database_url: Option<Secret> = None,
        /// A file that holds it.
        database_url_file: Option<PathBuf> = None,
        /// How it is used.
        postgres: PostgresSettings = PostgresSettings::default(),
        /// Certificate chain and key, PEM.
        tls: Option<TlsSettings> = None,
        /// Whether plain HTTP may be spoken to the network.
        insecure_http: bool = false,
        /// Networks of proxies whose forwarding headers are believed.
        trusted_proxies: Vec<String> = Vec::new(),
        /// The header in which they name the client: `x-forwarded-for` or `forwarded`.
        forwarded_header: String = "x-forwarded-for".to_owned(),
        /// Names other than the issuer's that requests to a server on a loopback address may use.
        allowed_hosts: Vec<String> = Vec::new(),
        /// The administrator's name for the audit trail.
        actor: Option<String> = None,
        /// Why, for the audit trail.
        reason: Option<String> = None,
        /// `open`, `invited` or `closed`.
        enrolment: String = "open".to_owned(),
        /// Which names need an invitation, and how long unused accounts are kept.
        accounts: AccountSettings = AccountSettings::default(),
        /// Scopes of new accounts, separated by spaces.
        default_scopes: Scopes = Scopes::none(),
        /// Resource servers besides this one that tokens may be for.
        resources: Vec<String> = Vec::new(),
        /// About passkeys.
        passkeys: PasskeySettings = PasskeySettings::default(),
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
        /// Which networks may read `/metrics`.
        metrics: MetricsSettings = MetricsSettings::default(),
        /// About servers that serve together, and others that change the database.
        cluster: ClusterSettings = ClusterSettings::default(),
        /// Which web pages may call.
        cors: CorsSettings = CorsSettings::default(),
        /// About proxies that ask this server whether a request may pass.
        forward_auth: ForwardAuthSettings = ForwardAuthSettings::default(),
        /// Which dialects are spoken.
        dialects: DialectSettings = DialectSettings::default(),
        /// About JWTs that clients sign themselves.
        self_signed: SelfSignedSettings = SelfSignedSettings::default(),
        /// About the sessions of *signjwt*.
        signjwt: SignjwtSettings = SignjwtSettings::default(),
        /// About the account app, which people see in a browser.
        web: WebSettings = WebSettings::default(),
    }

    /// Accounts.
    struct AccountSettings {
        /// Names that need an invitation, in any case of letters and with any separators.
        reserved_names: Vec<String> =
            NamePolicy::usually_reserved().iter().map(|name| (*name).to_owned()).collect(),
        /// Whether names with an `@` need an invitation: `invited`, or else `open`.
        email_names: String = "invited".to_owned(),
        /// After how many days an unused account is removed that was made without an invitation.
        unused_days: u64 = 7 => 1..=36_500,
        /// After how many days without a login a remembered browser is forgotten.
        browser_idle_days: u64 = 90 => 1..=3650,
        /// For how many hours a browser is remembered that registers or signs in for one visit.
        browser_visit_hours: u64 = 12 => 1..=720,
    }

    /// Passkeys.
    struct PasskeySettings {
        /// Whether there are any. Left out, there are if browsers make passkeys for the issuer: its host
        /// is a domain.
        enabled: Option<bool> = None,
        /// The RP ID: the issuer's host, or a domain above it.
        rp_id: Option<String> = None,
        /// Origins besides the issuer whose pages may use them.
        origins: Vec<String> = Vec::new(),
        /// Whether they may be on several devices: `allow`, or else `refuse`.
        synced: String = "allow".to_owned(),
    }

    /// Logs.
    struct LogSettings {
        format: LogFormat = LogFormat::Human,
        level: String = "info".to_owned(),
    }

    /// Access tokens and proofs. Times in seconds.
    struct TokenSettings {
        lifetime: u64 = 900 => 10..=86_400,
        nonce_lifetime: u64 = 300 => 10..=3600,
        proof_max_age: u64 = 60 => 5..=600,
    }

    /// Dialects: which are spoken, and what two of them allow.
    struct DialectSettings {
        gradecoin: bool = true,
        jwks_server: bool = true,
        passwordless: bool = true,
        self_signed: bool = true,
        signjwt: bool = true,
        /// Whether a client address may try at most ten passwords of *jwks-server* in any one second.
        auth_rate_limit: bool = true,
        /// The smallest RSA key that *passwordless* registers, in bits: 512 to `limits.max_rsa_bits`.
        min_rsa_bits: u32 = MutualPolicy::default().min_rsa_bits,
    }

    /// JWTs that clients sign themselves. Times in seconds.
    struct SelfSignedSettings {
        /// How far ahead `exp` may lie.
        max_lifetime: u64 = 300 => 10..=3600,
        /// `once`, or `until-expiry`: then anybody who sees one can use it too.
        reuse: String = "once".to_owned(),
        /// Whether `aud` must name this server.
        require_audience: bool = false,
        /// Whether `tha`, the hash of the body, must be there.
        require_body_hash: bool = false,
        /// Whether `tha` may be MD5, as *gradecoin* has it; only while that dialect is spoken.
        md5_body_hash: bool = true,
    }

    /// *signjwt*. Times in seconds.
    struct SignjwtSettings {
        nonce_lifetime: u64 = 30 => 1..=3600,
        session_lifetime: u64 = 1800 => 10..=86_400,
    }

    /// The server's signing keys.
    struct SigningKeySettings {
        /// `ES256`, `EdDSA`, `ES384`, `RS256` or `PS256`.
        algorithm: String = "ES256".to_owned(),
        active_days: u64 = 30 => 1..=3650,
    }

    /// Sizes and numbers.
    struct LimitSettings {
        keys_per_account: usize = 16 => 1..=1000,
        /// How many browsers of an account are remembered; another takes the place of the one that was
        /// used longest ago.
        browsers_per_account: usize = 16 => 1..=1000,
        passkeys_per_account: usize = 16 => 1..=1000,
        /// How many keys an account may ever revoke; each is remembered for ever.
        revoked_keys_per_account: usize = 10_000 => 16..=1_000_000,
        /// The largest RSA key that may be registered and sign, in bits.
        max_rsa_bits: u32 = KeyPolicy::default().max_rsa_bits => 2048..=8192,
        body_bytes: usize = 64 * 1024 => 1024..=2_097_152,
        /// The longest ciphertext of an online keyring, in bytes.
        keyring_bytes: usize = KeyringPolicy::default().max_bytes => 1024..=1_048_576,
        /// How many earlier contents of an online keyring are kept.
        keyring_revisions: u32 = KeyringPolicy::default().keeping.revisions => 1..=1000,
        /// For how many days each is kept unless its owner allows that it goes.
        keyring_revision_days: u64 = 30 => 1..=3650,
        /// How many bytes all of them may have together.
        keyring_bytes_total: u64 = KeyringPolicy::default().growth.total_bytes,
        /// For how many days an account is recent: all recent ones together may have half of that.
        keyring_recent_days: u64 = 30 => 0..=3650,
        /// The longest ciphertext of an account that is young.
        keyring_young_bytes: u64 = KeyringPolicy::default().growth.young_bytes => 1024..=1_048_576,
        /// For how many days an account is young.
        keyring_young_days: u64 = 7 => 0..=365,
        /// How long a body may take to begin to arrive, in seconds.
        body_seconds: u64 = 5 => 1..=300,
        /// How fast a body must arrive then.
        body_bytes_per_second: u32 = 2048 => 1..=1_000_000,
        /// How many bodies may be arriving at once.
        uploads: usize = 4096 => 1..=1_000_000,
        /// How many bodies larger than `body_bytes` may be arriving at once: online keyrings.
        keyring_uploads: usize = 64 => 1..=100_000,
        concurrent_requests: usize = 2048 => 1..=1_000_000,
        /// How many bytes of answers may wait for their clients to fetch them.
        answer_bytes: usize = 134_217_728 => 1_048_576..=1_073_741_824,
        connections: usize = 10_000 => 1..=1_000_000,
        /// How many passwords are hashed at once, each in 64 MiB; 0 is as many as there are
        /// processors and memory for.
        password_hashers: usize = 0 => 0..=1024,
        /// How many passwords may wait to be hashed.
        password_queue: usize = 1280 => 1..=1_000_000,
        /// How many accounts may wait for a key pair of *passwordless*.
        key_pair_queue: usize = 1280 => 1..=1_000_000,
        /// How many used proofs are remembered at once; more are refused until some expire.
        replay_log_entries: u64 = 4_000_000 => 1000..=1_000_000_000,
        /// How much of each limited resource one client network, or one account, may use, in
        /// percent.
        client_share: u8 = 5 => 1..=100,
        /// How many *signjwt* sessions have a nonce at once; beyond, the oldest lose theirs.
        sessions: usize = 262_144 => 8..=10_000_000,
        /// How many clients the rate limits can count at once.
        rate_limit_clients: usize = 65_536 => 8..=10_000_000,
        /// In how many places tries at online keyrings are counted.
        keyring_try_places: usize = 524_288 => 1024..=100_000_000,
        /// With less of the disk free, in bytes, no account is made; 0 keeps nothing.
        disk_reserve_bytes: u64 = 16 << 20,
    }

    /// Requests per minute, for each client address or account.
    struct RateLimitSettings {
        enabled: bool = true,
        requests: u32 = Limits::default().requests.burst => 1..=4_294_967_295,
        /// Requests for keys and revocations by guards elsewhere, per minute and client address.
        upkeep: u32 = Limits::default().upkeep.burst => 1..=4_294_967_295,
        registrations: u32 = Limits::default().registrations.burst => 1..=4_294_967_295,
        registrations_per_day: u32 = Limits::default().registrations_per_day.burst => 1..=4_294_967_295,
        /// Requests for which a password is hashed or a key pair made.
        costly_registrations: u32 = Limits::default().costly_registrations.burst => 1..=4_294_967_295,
        logins: u32 = Limits::default().logins.burst => 1..=4_294_967_295,
        account: u32 = Limits::default().account.burst => 1..=4_294_967_295,
        /// Changes of keys and requests for online keyrings, by the key that signs.
        key: u32 = Limits::default().key.burst => 1..=4_294_967_295,
        /// Keys added and renamed, a day and account.
        key_changes_per_day: u32 = Limits::default().key_changes_per_day.burst => 1..=4_294_967_295,
        /// The same, a day and client network.
        key_changes_of_network_per_day: u32 =
            Limits::default().key_changes_of_network_per_day.burst => 1..=4_294_967_295,
        /// Tries to open an online keyring with its password, by name and client network or by key, an
        /// hour.
        keyring_tries: u32 = Limits::default().keyring_tries.burst => 1..=1000,
        /// Those of strangers by name alone.
        keyring_tries_from_everywhere: u32 =
            Limits::default().keyring_tries_from_everywhere.burst => 1..=100_000,
        /// Those of strangers at all names, and with recovery codes, by client network.
        keyring_tries_of_network: u32 =
            Limits::default().keyring_tries_of_network.burst => 1..=1_000_000,
        /// Those of all keys of an account.
        keyring_tries_of_account: u32 =
            Limits::default().keyring_tries_of_account.burst => 1..=1000,
        /// What is written of an account's online keyring, in KiB a day.
        keyring_kib_per_day: u32 = Limits::default().keyring_kib_per_day.burst => 1..=1_000_000_000,
        /// The same of the young accounts of a client network.
        keyring_kib_of_network_per_day: u32 =
            Limits::default().keyring_kib_of_network_per_day.burst => 1..=1_000_000_000,
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

    /// The account app.
    struct WebSettings {
        /// Whether there is one.
        enabled: bool = true,
        /// Where its files lie; without it they are those within the binary.
        directory: Option<PathBuf> = None,
    }

    /// The use of a PostgreSQL database.
    struct PostgresSettings {
        /// Whether statements are prepared on its server.
        prepared: bool = true,
        /// Whether its server may lose acknowledged changes when it fails.
        allow_asynchronous: bool = false,
        /// How many connections change something.
        connections: usize = 8 => 1..=200,
    }

    /// Servers that serve together, behind a load balancer.
    struct ClusterSettings {
        /// The name of this server among them.
        node_id: Option<String> = None,
        /// Where used proofs, limits and sessions are. Left out, they are where accounts are.
        state: Option<StatePlace> = None,
        /// For how many seconds a server that was asked to stop serves on and says that it is not ready.
        drain_delay: u64 = 0 => 0..=300,
        /// For how many seconds a server goes on without hearing what others change in the database.
        max_staleness: u64 = 10 => 1..=300,
    }

    /// Cross-origin requests.
    struct CorsSettings {
        origins: Vec<String> = Vec::new(),
    }

    /// `/forward-auth`.
    struct ForwardAuthSettings {
        /// The origins of the APIs that proxies protect by asking this server.
        origins: Vec<String> = Vec::new(),
    }
}

impl Settings {
    /// Refuses a number that is out of its bounds, and two numbers that contradict each other.
    pub(super) fn check_bounds(&self) -> anyhow::Result<()> {
        self.check("")?;
        let (min, max) = (self.dialects.min_rsa_bits, self.limits.max_rsa_bits);
        ensure!(
            (512..=max).contains(&min),
            "dialects.min_rsa_bits is 512 to {max} bits, not {min}"
        );
        let RateLimitSettings { keyring_tries: each, keyring_tries_from_everywhere: all, .. } =
            self.rate_limits;
        ensure!(
            each <= all,
            "rate_limits.keyring_tries ({each}, for each client network) may not be more than \
             rate_limits.keyring_tries_from_everywhere ({all}, for all of them together)"
        );
        Ok(())
    }
}
