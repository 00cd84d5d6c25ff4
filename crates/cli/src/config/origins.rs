//! By which origins the server and the APIs that it protects are known, and whether plain HTTP will do.

use anyhow::{Context as _, bail, ensure};
use countersign_client::check_address;
use countersign_protocol::proofs::target_uri::TargetUri;

use super::{listen::Listen, settings::Settings};

impl Settings {
    /// The origin that clients see, when the server really listens on `bound`. A server whose database
    /// knows its issuer already may go by another name: see `issuer.rs`.
    pub(crate) fn origin(&self, bound: Listen) -> anyhow::Result<TargetUri> {
        let Some(issuer) = &self.issuer else {
            ensure!(
                !matches!(bound, Listen::Address(address) if address.ip().is_unspecified()),
                "listening on {bound}, clients could know this server by any name: \
                 say which with --issuer https://auth.example.com"
            );
            let scheme = if self.tls.is_some() { "https" } else { "http" };
            return Ok(TargetUri::parse(&format!("{scheme}://{bound}"))?);
        };
        normal_origin("issuer", issuer)
    }

    /// The origins of the APIs that proxies protect by asking this server.
    pub(crate) fn protected_origins(&self) -> anyhow::Result<Vec<TargetUri>> {
        let origins = &self.forward_auth.origins;
        ensure!(
            origins.is_empty() || !self.trusted_proxies.is_empty(),
            "forward_auth.origins are protected by proxies, and none is trusted: say which with \
             --trusted-proxy 127.0.0.1"
        );
        origins.iter().map(|origin| normal_origin("forward_auth.origins", origin)).collect()
    }

    /// What may be wrong with each of `resources`. An API that goes by its origin has no slash at the end
    /// of its name, and one that has the slash is another one.
    pub(crate) fn doubtful_resources(&self) -> impl Iterator<Item = String> {
        self.resources.iter().filter_map(|resource| {
            let origin = resource.strip_suffix('/')?;
            (TargetUri::parse(resource).ok()?.origin() == origin).then(|| {
                format!(
                    "resources: {resource:?} ends with a slash, so there are no tokens for an API that \
                     calls itself {origin:?}, as guards do: leave the slash out (--resource {origin}) \
                     unless the API has it in its own name"
                )
            })
        })
    }

    /// Refuses to speak plain HTTP to a network, unless that was asked for.
    pub(crate) fn check_transport(&self) -> anyhow::Result<()> {
        let behind_proxy = !self.trusted_proxies.is_empty();
        let exposed = !self.listen.is_loopback() && self.tls.is_none();
        if exposed && !self.insecure_http && !behind_proxy {
            bail!(
                "{} is reachable from the network, and without TLS everybody in between could read \
                 along: give --tls-cert and --tls-key, or configure trusted_proxies, or say \
                 --insecure-http",
                self.listen
            );
        }
        self.check_hosts()?;
        self.check_issuer_scheme()
    }

    /// Refuses a name that no `Host` can have.
    fn check_hosts(&self) -> anyhow::Result<()> {
        let is_name = |host: &str| {
            !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/,@\"".contains(c))
        };
        match self.allowed_hosts.iter().find(|host| !is_name(host)) {
            Some(host) => bail!(
                "allowed_hosts: {host:?} is no name that a request can have in `Host`: write each by \
                 itself, without http:// and path, such as auth.example.com"
            ),
            None => Ok(()),
        }
    }

    /// The issuer must be https (RFC 8414 §2), except on the clients' own machine.
    fn check_issuer_scheme(&self) -> anyhow::Result<()> {
        let Some(issuer) = self.issuer.as_deref().filter(|_| !self.insecure_http) else {
            return Ok(());
        };
        if issuer.starts_with("http://") && check_address(issuer).is_err() {
            bail!(
                "issuer {issuer:?} is http, and clients send no tokens there unless it is a loopback \
                 address: put https in front, for instance by a proxy in trusted_proxies, or say \
                 --insecure-http"
            );
        }
        Ok(())
    }
}

/// The origin in the setting `name`. It must be in its normal form, because tokens and proofs are
/// compared with it as text.
fn normal_origin(name: &str, text: &str) -> anyhow::Result<TargetUri> {
    let origin = TargetUri::parse(text).with_context(|| format!("{name} {text:?}"))?;
    ensure!(
        origin.origin() == text,
        "{name} must be an origin in its normal form, without a path or a slash at the end: {:?} \
         instead of {text:?}",
        origin.origin()
    );
    Ok(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn an_http_issuer_is_a_loopback_address_unless_asked_for() {
        let verdict = |text: &str| settings(text).check_transport().is_ok();
        assert!(!verdict("issuer = \"http://auth.example\""));
        assert!(!verdict("issuer = \"http://auth.example\"\ntrusted_proxies = [\"127.0.0.1\"]"));
        assert!(verdict("issuer = \"http://auth.example\"\ninsecure_http = true"));
        for good in ["https://auth.example", "http://127.0.0.1:8080", "http://localhost:8080"] {
            assert!(verdict(&format!("issuer = {good:?}")), "{good}");
        }
    }

    #[test]
    fn a_slash_after_the_origin_of_an_api_is_warned_of() {
        let text =
            "resources = [\"https://a.example/\", \"https://a.example\", \"https://a.example/b/\"]";
        let told: Vec<_> = settings(text).doubtful_resources().collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("(--resource https://a.example)"), "{told:?}");
    }

    #[test]
    fn an_allowed_host_is_the_name_alone() {
        for bad in ["http://auth.lan", "x y", "", "auth.lan/"] {
            let told = settings(&format!("allowed_hosts = [{bad:?}]")).check_transport();
            assert!(told.unwrap_err().to_string().starts_with("allowed_hosts: "), "{bad}");
        }
        let good = settings("allowed_hosts = [\"auth.lan\", \"auth.lan:8080\", \"[::1]\"]");
        good.check_transport().unwrap();
    }

    #[test]
    fn an_origin_is_protected_by_proxies_that_are_trusted() {
        let origins = "[forward_auth]\norigins = [\"https://api.example\"]";
        let error = settings(origins).protected_origins().unwrap_err().to_string();
        assert!(error.contains("--trusted-proxy"), "{error}");
        let trusting = settings(&format!("trusted_proxies = [\"10.0.0.1\"]\n{origins}"));
        assert_eq!(trusting.protected_origins().unwrap().len(), 1);
        assert!(settings("").protected_origins().unwrap().is_empty());
    }

    #[test]
    fn tokens_may_be_for_what_is_protected() {
        let text = "trusted_proxies = [\"10.0.0.1\"]\nresources = [\"https://a.example\"]\n\
                    [forward_auth]\norigins = [\"https://b.example\"]";
        let policy = settings(text).policy(TargetUri::parse("https://auth.example").unwrap());
        assert_eq!(policy.unwrap().tokens.resources, ["https://a.example", "https://b.example"]);
    }

    #[test]
    fn an_origin_is_written_in_its_normal_form() {
        for origin in ["https://Api.example", "https://a/", "https://a:443", "https://a/x", "a"] {
            let text =
                format!("trusted_proxies = [\"::1\"]\n[forward_auth]\norigins = [\"{origin}\"]");
            let error = format!("{:#}", settings(&text).protected_origins().unwrap_err());
            assert!(error.starts_with("forward_auth.origins"), "{error}");
        }
    }
}
