//! What the settings mean for the transport.

use std::{net::IpAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use countersign_guard::{Reuse, SelfSignedPolicy};
use countersign_protocol::proofs::{body_hash::BodyHashes, target_uri::TargetUri};
use countersign_server::{
    ConnectionLimits, CorsOrigins, Dialects, ForwardedHeader, KnownHosts, RequestLimits,
    Settings as TransportSettings, TlsFiles, TrustedProxies, WebFiles,
};

use super::settings::{DialectSettings, LimitSettings, SelfSignedSettings, Settings, WebSettings};

/// The memory of an open connection, in bytes: its buffers, its task and some streams of HTTP/2. With all its
/// streams unfetched it has 105 KiB.
const CONNECTION_BYTES: usize = 64 * 1024;
/// What an online keyring has besides its content, with tickets and records, in bytes: 20 slots with the
/// longest ids of passkeys fit.
const AROUND_CONTENT: usize = 64 * 1024;

impl Settings {
    /// The settings of the transport.
    pub(crate) fn transport(&self) -> anyhow::Result<TransportSettings> {
        self.check_bounds()?;
        let readers = self
            .metrics
            .allow
            .iter()
            .map(|network| network.parse().map_err(|_| no_network("metrics.allow", network)));
        let uploads =
            LimitSettings::fitting("limits.uploads", self.limits.uploads, self.limits.body_bytes);
        let large_body_bytes = self.limits.keyring_bytes.div_ceil(3) * 4 + AROUND_CONTENT;
        let keyring_uploads = "limits.keyring_uploads";
        let large_uploads =
            LimitSettings::fitting(keyring_uploads, self.limits.keyring_uploads, large_body_bytes);
        let answer_bytes =
            LimitSettings::fitting("limits.answer_bytes", self.limits.answer_bytes, 1);
        Ok(TransportSettings {
            limits: RequestLimits {
                body_bytes: self.limits.body_bytes,
                body_grace: Duration::from_secs(self.limits.body_seconds),
                body_bytes_per_second: self.limits.body_bytes_per_second,
                large_body_bytes,
                large_uploads,
                large_uploads_each: self.limits.share(large_uploads),
                uploads,
                uploads_each: self.limits.share(uploads),
                concurrency: self.limits.concurrent_requests,
                concurrency_each: self.limits.share(self.limits.concurrent_requests),
                answer_bytes,
                answer_bytes_each: self.limits.share(answer_bytes),
                ..RequestLimits::default()
            },
            proxies: self.proxies()?,
            metrics_readers: readers.collect::<anyhow::Result<_>>()?,
            cors: CorsOrigins::parse(&self.cors.origins).context("cors.origins")?,
            dialects: self.dialects.spoken(),
            protected_origins: self.protected_origins()?,
            self_signed: self.self_signed.to_policy(self.limits.body_bytes)?,
            web: self.web.enabled.then(|| self.web.files()).transpose()?.map(Arc::new),
        })
    }

    fn proxies(&self) -> anyhow::Result<Arc<TrustedProxies>> {
        let header: ForwardedHeader = self.forwarded_header.parse().context("forwarded_header")?;
        let proxies = TrustedProxies::parse(&self.trusted_proxies).context("trusted_proxies")?;
        Ok(Arc::new(proxies.naming_clients_in(header)))
    }

    /// The settings of the listener of the server at `issuer`.
    pub(crate) fn connections(&self, issuer: &TargetUri) -> anyhow::Result<ConnectionLimits> {
        let protected = self.protected_origins()?;
        let hosts = self.listen.is_loopback().then(|| {
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

/// Why `text` in the setting `name` is refused, and how to write what is probably meant.
fn no_network(name: &str, text: &str) -> anyhow::Error {
    let example = match text.parse() {
        Ok(address) => format!("{text}/{} is this one address", width(address)),
        Err(_) => "10.0.0.0/8 is one, and 127.0.0.1/32 a single address".to_owned(),
    };
    anyhow!(
        "{name}: {text:?} is no network, an address and the number of its leading bits: {example}"
    )
}

/// How many bits an address has.
const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl DialectSettings {
    /// Whether accounts may have passwords, and tokens that are signed with keys of their own.
    pub(crate) const fn have_passwords(&self) -> bool {
        self.jwks_server
    }

    const fn spoken(&self) -> Dialects {
        let Self { gradecoin, jwks_server, passwordless, self_signed, signjwt, .. } = *self;
        Dialects { gradecoin, jwks_server, passwordless, self_signed, signjwt }
    }
}

impl WebSettings {
    /// The files of the account app.
    pub(crate) fn files(&self) -> anyhow::Result<WebFiles> {
        match &self.directory {
            Some(directory) => WebFiles::read(directory)
                .with_context(|| format!("web.directory {}", directory.display())),
            None => WebFiles::embedded().context("the files of the account app"),
        }
    }
}

impl SelfSignedSettings {
    fn to_policy(&self, body_bytes: usize) -> anyhow::Result<SelfSignedPolicy> {
        let reuse = match self.reuse.as_str() {
            "once" => Reuse::Once,
            "until-expiry" => Reuse::UntilExpiry,
            other => bail!("self_signed.reuse is once or until-expiry, not {other:?}"),
        };
        let md5 = self.md5_body_hash;
        Ok(SelfSignedPolicy {
            max_lifetime: Duration::from_secs(self.max_lifetime),
            require_audience: self.require_audience,
            require_body_hash: self.require_body_hash,
            body_hashes: if md5 { BodyHashes::Sha256OrMd5 } else { BodyHashes::Sha256 },
            max_hashed_body: body_bytes,
            reuse,
            ..SelfSignedPolicy::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_without_its_bits_is_told_how_to_be_written() {
        let told = |text: &str| {
            let settings = format!("[metrics]\nallow = [{text:?}]");
            let settings: Settings = toml::from_str(&settings).unwrap();
            settings.transport().err().unwrap().to_string()
        };
        assert!(told("127.0.0.1").ends_with("127.0.0.1/32 is this one address"));
        assert!(told("::1").ends_with("::1/128 is this one address"));
        assert!(told("10.0.0.0/33").contains("metrics.allow: \"10.0.0.0/33\" is no network"));
    }
}
