//! Which settings all servers of one database should share.

use countersign_protocol::digest::sha256;

use super::settings::Settings;

impl Settings {
    /// A digest of the settings by which clients can tell servers apart, in this version of the program. What
    /// is of one machine alone, such as addresses, files and logs, is not in it, and no secret is.
    pub(crate) fn shared_digest(&self) -> [u8; 32] {
        let Self {
            enrolment,
            accounts,
            default_scopes,
            resources,
            passkeys,
            tokens,
            signing_keys,
            limits,
            rate_limits,
            audit,
            cors,
            forward_auth,
            dialects,
            self_signed,
            signjwt,
            ..
        } = self;
        let admission = (enrolment, accounts, default_scopes, resources, passkeys);
        let keys = (tokens, signing_keys, dialects, self_signed, signjwt);
        let state = self.state_place().ok();
        let rest = (state, limits, rate_limits, audit, cors, forward_auth, self.web.enabled);
        sha256(&[format!("{admission:?}{keys:?}{rest:?}").as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> [u8; 32] {
        toml::from_str::<Settings>(text).unwrap().shared_digest()
    }

    #[test]
    fn servers_differ_by_what_clients_notice_and_not_by_what_is_of_one_machine() {
        let usual = digest("");
        for own in [
            "listen = \"127.0.0.1:1\"\ndata_dir = \"elsewhere\"",
            "[cluster]\nnode_id = \"a\"",
            "[log]\nlevel = \"debug\"",
            "database = \"other.db\"",
        ] {
            assert_eq!(digest(own), usual, "{own}");
        }
        for shared in
            ["enrolment = \"closed\"", "[tokens]\nlifetime = 60", "[dialects]\nsignjwt = false"]
        {
            assert_ne!(digest(shared), usual, "{shared}");
        }
        let shared_state = "database_url = \"postgres://a\"";
        assert_ne!(
            digest(shared_state),
            digest(&format!("{shared_state}\n[cluster]\nstate = \"memory\""))
        );
    }
}
