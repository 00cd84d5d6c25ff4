//! By which name a server without a configured issuer goes, when its database has known one.
//!
//! Earlier versions went by their loopback address. Now such a server goes by `localhost`, because
//! passkeys need a name. To clients that would be another server, so an installation of an earlier
//! version keeps its address.

use countersign_protocol::proofs::target_uri::TargetUri;
use countersign_store::sqlite::SqliteStore;

use crate::config::{Listen, Settings};

/// The issuer of this start.
#[must_use]
pub(crate) struct Issuer {
    pub(crate) origin: TargetUri,
    /// The issuer of the last start, if it was written down.
    kept: Option<String>,
}

/// Decides by which name the server goes. `derived` is what the settings say, and `is_new` whether the
/// database was made just now.
pub(crate) async fn settle(
    settings: &Settings,
    store: &SqliteStore,
    derived: TargetUri,
    is_new: bool,
) -> anyhow::Result<Issuer> {
    if is_new {
        return Ok(Issuer { origin: derived, kept: None });
    }
    let kept = store.issuer().await?;
    Ok(Issuer { origin: choose(settings, derived, kept.as_deref())?, kept })
}

impl Issuer {
    /// Keeps it for the next start, and says so if it is another one than before.
    pub(crate) async fn keep(self, settings: &Settings, store: &SqliteStore) -> anyhow::Result<()> {
        let Self { origin, kept } = self;
        if kept.as_deref() == Some(origin.origin()) {
            return Ok(());
        }
        // A port that the system chose is another one at each start.
        if let Some(kept) = kept.filter(|_| settings.listen.port() != 0) {
            tracing::warn!(
                "the issuer is {} now, and was {kept}: tokens from before are refused, and clients \
                 must be told the new name. The setting `issuer` decides",
                origin.origin()
            );
        }
        Ok(store.keep_issuer(origin.origin()).await?)
    }
}

/// The issuer of a server whose database is there already, for a command that only reads.
pub(crate) async fn known(settings: &Settings, store: &SqliteStore) -> anyhow::Result<TargetUri> {
    let derived = settings.origin(settings.listen)?;
    choose(settings, derived, store.issuer().await?.as_deref())
}

/// `derived`, or the loopback address by which the server went before. `kept` is the issuer of the last
/// start; without one, that start was one of an earlier version.
fn choose(
    settings: &Settings,
    derived: TargetUri,
    kept: Option<&str>,
) -> anyhow::Result<TargetUri> {
    let Listen::Localhost(_) = settings.listen else { return Ok(derived) };
    if settings.issuer.is_some() {
        return Ok(derived);
    }
    let by_address = derived.origin().replacen("://localhost", "://127.0.0.1", 1);
    let keeps_address = kept.is_none_or(|kept| kept == by_address);
    Ok(if keeps_address { TargetUri::parse(&by_address)? } else { derived })
}

#[cfg(test)]
mod tests {
    use countersign_store::sqlite::SqliteOptions;

    use super::*;

    fn chosen(settings: &str, kept: Option<&str>) -> String {
        let settings: Settings = toml::from_str(settings).unwrap();
        let derived = settings.origin(settings.listen).unwrap();
        choose(&settings, derived, kept).unwrap().origin().to_owned()
    }

    #[test]
    fn a_server_of_an_earlier_version_keeps_its_address() {
        let (name, address) = ("http://localhost:8080", "http://127.0.0.1:8080");
        assert_eq!(chosen("", None), address, "from before");
        assert_eq!(chosen("", Some(address)), address);
        assert_eq!(chosen("", Some(name)), name);
        assert_eq!(chosen("", Some("http://127.0.0.1:9")), name, "another port");
    }

    #[tokio::test]
    async fn the_issuer_of_a_start_is_kept_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("db"), &SqliteOptions::default()).unwrap();
        let start = async |settings: &str, is_new| {
            let settings: Settings = toml::from_str(settings).unwrap();
            let derived = settings.origin(settings.listen).unwrap();
            let issuer = settle(&settings, &store, derived, is_new).await.unwrap();
            let origin = issuer.origin.clone();
            issuer.keep(&settings, &store).await.unwrap();
            assert_eq!(known(&settings, &store).await.unwrap(), origin);
            origin.origin().to_owned()
        };
        assert_eq!(start("", false).await, "http://127.0.0.1:8080", "from before");
        assert_eq!(start("", false).await, "http://127.0.0.1:8080");
        let named = "issuer = \"http://localhost:8080\"";
        assert_eq!(start(named, false).await, "http://localhost:8080");
        assert_eq!(start("", false).await, "http://localhost:8080", "it stays");
        assert_eq!(start("", true).await, "http://localhost:8080", "a new database");
    }

    #[test]
    fn what_is_configured_decides() {
        for kept in [None, Some("http://127.0.0.1:8080"), Some("http://localhost:8080")] {
            let issuer = "issuer = \"http://localhost:8080\"";
            assert_eq!(chosen(issuer, kept), "http://localhost:8080");
            let address = "listen = \"127.0.0.1:8080\"";
            assert_eq!(chosen(address, kept), "http://127.0.0.1:8080");
        }
    }
}
