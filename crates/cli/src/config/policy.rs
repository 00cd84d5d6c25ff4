//! What the settings mean for the authority.

use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::model::{
    credential::BrowserLives,
    key_life::KeySchedule,
    keyring::{EARLIER_CONTENTS, Growth, Keeping, KeyringPolicy},
    limits::{RateLimit, Retention, TurnLimits},
    names::{EmailNames, NamePolicy},
    policy::{Enrolment, Limits, MutualPolicy, PasswordPolicy, Policy, SessionPolicy, TokenPolicy},
};
use countersign_protocol::{
    keys::{Algorithm, KeyPolicy},
    proofs::{dpop::ProofWindow, target_uri::TargetUri},
};

use super::{
    memory,
    settings::{
        AccountSettings, AuditSettings, LimitSettings, RateLimitSettings, Settings,
        SigningKeySettings, SignjwtSettings,
    },
};

impl Settings {
    /// The settings of the authority.
    pub(crate) fn policy(&self, origin: TargetUri) -> anyhow::Result<Policy> {
        self.check_bounds()?;
        let lifetime = Duration::from_secs(self.tokens.lifetime);
        let past = Duration::from_secs(self.tokens.proof_max_age);
        Ok(Policy {
            enrolment: self
                .enrolment
                .parse::<Enrolment>()
                .with_context(|| format!("enrolment cannot be {:?}", self.enrolment))?,
            default_scopes: self.default_scopes.clone(),
            names: self.accounts.names()?,
            unused_account_lifetime: days(self.accounts.unused_days),
            max_keys_per_account: self.limits.keys_per_account,
            max_browsers_per_account: self.limits.browsers_per_account,
            max_passkeys_per_account: self.limits.passkeys_per_account,
            browser_lives: self.accounts.browser_lives(),
            max_revoked_keys_per_account: self.limits.revoked_keys_per_account,
            keyrings: self.limits.keyrings(),
            keys: KeyPolicy { max_rsa_bits: self.limits.max_rsa_bits, ..KeyPolicy::default() },
            tokens: TokenPolicy {
                lifetime,
                resources: self.resources()?,
                ..TokenPolicy::default()
            },
            proof_window: ProofWindow { past, ..ProofWindow::default() },
            nonce_lifetime: Duration::from_secs(self.tokens.nonce_lifetime),
            signing_keys: self.signing_keys.schedule()?,
            passkeys: self.passkeys.policy(&origin)?,
            passwords: self.dialects.have_passwords().then(|| self.passwords()),
            sessions: self.signjwt.policy(),
            mutual: self.mutual(),
            retention: self.audit.retention(),
            max_staleness: Duration::from_secs(self.cluster.max_staleness),
            limits: self.rate_limits.enabled.then(|| self.rate_limits.to_limits()),
            ..Policy::new(origin)
        })
    }

    /// What tokens may be for besides this server.
    fn resources(&self) -> anyhow::Result<Vec<String>> {
        for resource in &self.resources {
            TargetUri::parse(resource).with_context(|| format!("resources: {resource:?}"))?;
        }
        let protected = self.protected_origins()?;
        let protected = protected.iter().map(|origin| origin.origin().to_owned());
        Ok(self.resources.iter().cloned().chain(protected).collect())
    }

    fn passwords(&self) -> PasswordPolicy {
        PasswordPolicy {
            rate_limit: self.dialects.auth_rate_limit,
            turns: self.limits.turns(hashers(&self.limits), self.limits.password_queue),
            ..PasswordPolicy::default()
        }
    }

    fn mutual(&self) -> MutualPolicy {
        let is_spoken = self.dialects.passwordless;
        MutualPolicy {
            min_rsa_bits: self.dialects.min_rsa_bits,
            keys_ready: if is_spoken { MutualPolicy::default().keys_ready } else { 0 },
            // Making key pairs may use half of the processors.
            turns: self.limits.turns((processors() / 2).max(1), self.limits.key_pair_queue),
        }
    }
}

impl AccountSettings {
    const fn browser_lives(&self) -> BrowserLives {
        BrowserLives {
            idle: days(self.browser_idle_days),
            visit: Duration::from_hours(self.browser_visit_hours),
        }
    }

    fn names(&self) -> anyhow::Result<NamePolicy> {
        let email_names = self
            .email_names
            .parse::<EmailNames>()
            .with_context(|| format!("accounts.email_names cannot be {:?}", self.email_names))?;
        Ok(NamePolicy::new(self.reserved_names.iter().map(String::as_str), email_names))
    }
}

impl SigningKeySettings {
    fn schedule(&self) -> anyhow::Result<KeySchedule> {
        let algorithm = Algorithm::from_name(&self.algorithm).with_context(|| {
            format!(
                "signing_keys.algorithm is one of EdDSA, ES256, ES384, PS256, RS256, not {:?}",
                self.algorithm
            )
        })?;
        Ok(KeySchedule { algorithm, active: days(self.active_days), ..KeySchedule::default() })
    }
}

impl SignjwtSettings {
    const fn policy(&self) -> SessionPolicy {
        SessionPolicy {
            lifetime: Duration::from_secs(self.session_lifetime),
            nonce_lifetime: Duration::from_secs(self.nonce_lifetime),
        }
    }
}

impl AuditSettings {
    const fn retention(&self) -> Retention {
        Retention {
            max_age: days(self.max_age_days),
            max_events: self.max_events,
            max_refusals: self.refusal_entries,
            max_uses: self.key_use_entries,
        }
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
            key: with(default.key, self.key),
            key_changes_per_day: with(default.key_changes_per_day, self.key_changes_per_day),
            key_changes_of_network_per_day: with(
                default.key_changes_of_network_per_day,
                self.key_changes_of_network_per_day,
            ),
            keyring_tries: with(default.keyring_tries, self.keyring_tries),
            keyring_tries_from_everywhere: with(
                default.keyring_tries_from_everywhere,
                self.keyring_tries_from_everywhere,
            ),
            keyring_tries_of_network: with(
                default.keyring_tries_of_network,
                self.keyring_tries_of_network,
            ),
            keyring_tries_of_account: with(
                default.keyring_tries_of_account,
                self.keyring_tries_of_account,
            ),
            keyring_kib_per_day: with(default.keyring_kib_per_day, self.keyring_kib_per_day),
            keyring_kib_of_network_per_day: with(
                default.keyring_kib_of_network_per_day,
                self.keyring_kib_of_network_per_day,
            ),
            ..default
        }
    }
}

impl LimitSettings {
    /// Evaluations for passwords of keyrings wait as passwords wait that are hashed.
    fn keyrings(&self) -> KeyringPolicy {
        let turns = self.turns(processors(), self.password_queue);
        let keeping = Keeping {
            revisions: self.keyring_revisions,
            bytes: EARLIER_CONTENTS * self.keyring_bytes as u64,
            at_least: days(self.keyring_revision_days),
        };
        let growth = Growth {
            total_bytes: self.keyring_bytes_total,
            recent: days(self.keyring_recent_days),
            young: days(self.keyring_young_days),
            young_bytes: self.keyring_young_bytes,
        };
        KeyringPolicy { max_bytes: self.keyring_bytes, turns, keeping, growth }
    }

    fn turns(&self, at_once: usize, waiting: usize) -> TurnLimits {
        TurnLimits { at_once, waiting, each: at_once.saturating_add(self.share(waiting)) }
    }
}

/// How many passwords are hashed at once: the setting, limited by memory.
fn hashers(limits: &LimitSettings) -> usize {
    let wanted = match limits.password_hashers {
        0 => processors(),
        wanted => wanted,
    };
    let fitting = memory::limit().map_or(wanted, memory::hashers_in);
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

const fn days(days: u64) -> Duration {
    Duration::from_secs(days.saturating_mul(24 * 60 * 60))
}
