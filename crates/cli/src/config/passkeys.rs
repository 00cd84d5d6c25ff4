//! Which passkeys a server takes.

use anyhow::{Context as _, ensure};
use countersign_authority::model::passkey::{PasskeyPolicy, SyncedPasskeys};
use countersign_protocol::proofs::{
    target_uri::TargetUri,
    webauthn::{Origin, RpId},
};

use super::settings::PasskeySettings;

impl PasskeySettings {
    /// Which passkeys a server at `issuer` takes; `None` if none.
    pub(super) fn policy(&self, issuer: &TargetUri) -> anyhow::Result<Option<PasskeyPolicy>> {
        let synced = self
            .synced
            .parse::<SyncedPasskeys>()
            .with_context(|| format!("passkeys.synced cannot be {:?}", self.synced))?;
        if self.are_given_up() {
            return Ok(None);
        }
        let Some(mut policy) = PasskeyPolicy::of_issuer(issuer) else {
            if !self.are_asked_for() {
                return Ok(None);
            }
            return Err(no_passkeys_at(issuer)).context(
                "there can be no passkeys: give the server a name by --issuer, or set \
                 passkeys.enabled = false and neither passkeys.rp_id nor passkeys.origins",
            );
        };
        if let Some(rp_id) = &self.rp_id {
            policy.rp_id = read_rp_id(rp_id, policy.origins[0].host())?;
        }
        for origin in &self.origins {
            let origin = origin.parse().with_context(|| format!("passkeys.origins: {origin:?}"))?;
            if !policy.origins.contains(&origin) {
                policy.origins.push(origin);
            }
        }
        Ok(Some(PasskeyPolicy { synced, ..policy }))
    }

    /// Whether the operator wants no passkeys.
    pub(crate) const fn are_given_up(&self) -> bool {
        matches!(self.enabled, Some(false))
    }

    const fn are_asked_for(&self) -> bool {
        matches!(self.enabled, Some(true)) || self.rp_id.is_some() || !self.origins.is_empty()
    }
}

/// Why browsers make no passkeys at `issuer`.
fn no_passkeys_at(issuer: &TargetUri) -> anyhow::Error {
    let name = issuer.origin();
    match name.parse::<Origin>() {
        Err(error) => anyhow::anyhow!("issuer {name:?}: {error}"),
        Ok(origin) => match origin.host().parse::<RpId>() {
            Err(error) => anyhow::anyhow!("issuer {name:?}: {error}"),
            Ok(_) => anyhow::anyhow!("issuer {name:?}"),
        },
    }
}

fn read_rp_id(text: &str, host: &str) -> anyhow::Result<RpId> {
    let rp_id: RpId = text.parse().with_context(|| format!("passkeys.rp_id {text:?}"))?;
    ensure!(
        rp_id.covers(host),
        "passkeys.rp_id {text:?} is neither the host of the issuer, {host:?}, nor a domain above it, so \
         no browser would make passkeys for it on the issuer's pages"
    );
    Ok(rp_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn policy(settings: &str, issuer: &str) -> anyhow::Result<Option<PasskeyPolicy>> {
        let settings: Settings = toml::from_str(&format!("[passkeys]\n{settings}")).unwrap();
        settings.passkeys.policy(&TargetUri::parse(issuer).unwrap())
    }

    fn error(settings: &str, issuer: &str) -> String {
        format!("{:#}", policy(settings, issuer).unwrap_err())
    }

    #[test]
    fn there_are_passkeys_where_browsers_make_them() {
        for (issuer, rp_id) in [
            ("https://auth.example.com", Some("auth.example.com")),
            ("https://auth.example.com:8443", Some("auth.example.com")),
            ("http://localhost:8080", Some("localhost")),
            ("http://127.0.0.1:8080", None),
            ("https://192.0.2.1", None),
            ("https://[2001:db8::1]", None),
            ("http://auth.example.com", None),
        ] {
            let found = policy("", issuer).unwrap();
            assert_eq!(found.as_ref().map(|policy| policy.rp_id.as_str()), rp_id, "{issuer}");
            assert!(policy("enabled = false", issuer).unwrap().is_none());
            assert_eq!(policy("enabled = true", issuer).is_ok(), rp_id.is_some(), "{issuer}");
        }
    }

    #[test]
    fn passkeys_that_are_asked_for_where_there_can_be_none_are_a_mistake() {
        for settings in ["enabled = true", "rp_id = \"example.com\"", "origins = [\"https://a.b\"]"]
        {
            let error = error(settings, "http://127.0.0.1:8080");
            assert!(error.contains("--issuer") && error.contains("127.0.0.1"), "{error}");
        }
    }

    #[test]
    fn the_rp_id_is_the_issuers_host_or_a_domain_above_it() {
        let issuer = "https://auth.example.com";
        let found = policy("rp_id = \"example.com\"", issuer).unwrap().unwrap();
        assert_eq!(found.rp_id.as_str(), "example.com");
        for other in ["com", "other.example.com", "xample.com", "Example.com", "192.0.2.1"] {
            let error = error(&format!("rp_id = {other:?}"), issuer);
            assert!(error.contains(other), "{error}");
        }
    }

    #[test]
    fn the_issuer_is_the_first_of_the_origins() {
        let settings = "origins = [\"https://shop.example\", \"https://auth.example.com\"]";
        let found = policy(settings, "https://auth.example.com").unwrap().unwrap();
        let origins: Vec<&str> = found.origins.iter().map(Origin::as_str).collect();
        assert_eq!(origins, ["https://auth.example.com", "https://shop.example"]);
        let error = error("origins = [\"http://shop.example\"]", "https://auth.example.com");
        assert!(error.contains("passkeys.origins"), "{error}");
    }

    #[test]
    fn synced_passkeys_are_allowed_or_refused() {
        let error = error("synced = \"maybe\"", "https://auth.example.com");
        assert!(error.contains("passkeys.synced"), "{error}");
    }
}
