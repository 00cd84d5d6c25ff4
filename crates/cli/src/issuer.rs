//! By which name a server without a configured issuer goes, when its database has known one.
//!
//! Earlier versions went by their loopback address. Now such a server goes by `localhost`, because
//! passkeys need a name. To clients that would be another server, so an installation of an earlier
//! version keeps its address.

use anyhow::ensure;
use countersign_authority::ports::IssuerStore;
use countersign_protocol::proofs::target_uri::TargetUri;
use countersign_store::postgres::PostgresStore;

use crate::config::{Listen, Settings};

/// The issuer of this start.
#[must_use]
pub(crate) struct Issuer {
    pub(crate) origin: TargetUri,
    /// The issuer of the last start, if it was written down.
    kept: Option<String>,
    /// Whether the database was made just now.
    is_new: bool,
}

/// Decides by which name the server goes. `derived` is what the settings say, and `is_new` whether the
/// database was made just now.
pub(crate) async fn settle(
    settings: &Settings,
    store: &dyn IssuerStore,
    derived: TargetUri,
    is_new: bool,
) -> anyhow::Result<Issuer> {
    if is_new {
        return Ok(Issuer { origin: derived, kept: None, is_new });
    }
    let kept = store.issuer().await?;
    Ok(Issuer { origin: choose(settings, derived, kept.as_deref())?, kept, is_new })
}

impl Issuer {
    /// Keeps it for the next start, and says so if it is another one than before.
    pub(crate) async fn keep(
        self,
        settings: &Settings,
        store: &dyn IssuerStore,
    ) -> anyhow::Result<()> {
        let Self { origin, kept, is_new } = self;
        if kept.as_deref() == Some(origin.origin()) {
            return Ok(());
        }
        if !is_new
            && kept.is_none()
            && let Some(hint) = without_passkeys(settings, &origin)
        {
            tracing::info!("{hint}");
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

/// Sees that a server by the name `origin` fits to the others of its database, which all have one.
pub(crate) async fn fit(store: &dyn IssuerStore, origin: &str) -> anyhow::Result<()> {
    compare(&store.issuer().await?.unwrap_or_else(|| origin.to_owned()), origin)
}

/// The same, and if there are no others yet, all that come will have this one.
pub(crate) async fn claim(store: &PostgresStore, origin: &str) -> anyhow::Result<()> {
    compare(&store.claim_issuer(origin).await?, origin)
}

fn compare(kept: &str, origin: &str) -> anyhow::Result<()> {
    ensure!(
        kept == origin,
        "the servers of this database go by {kept}, and this one would go by {origin}: clients of the others \
         would be refused. Set issuer = {kept:?} here too; to give all of them the other name, stop them, \
         and run `countersign admin issuer {origin}`"
    );
    Ok(())
}

/// The issuer of a server whose database is there already, for a command that only reads. The last start
/// may have had other options than this command, so it decides. Before the first start the settings say
/// it, unless the system is to choose the port.
pub(crate) async fn known(
    settings: &Settings,
    store: &dyn IssuerStore,
) -> anyhow::Result<Option<TargetUri>> {
    if let Some(kept) = store.issuer().await? {
        return Ok(Some(TargetUri::parse(&kept)?));
    }
    if settings.issuer.is_none() && settings.listen.port() == 0 {
        return Ok(None);
    }
    choose(settings, settings.origin(settings.listen)?, None).map(Some)
}

/// The issuer with `localhost` in place of the loopback address, which browsers make no passkeys for.
pub(crate) fn by_name(issuer: &TargetUri) -> Option<String> {
    let name = issuer.origin().replacen("://127.0.0.1", "://localhost", 1);
    (name != issuer.origin()).then_some(name)
}

/// What to do for passkeys at a server that goes on by its loopback address, where nothing but the default
/// says so.
fn without_passkeys(settings: &Settings, issuer: &TargetUri) -> Option<String> {
    let is_default = settings.issuer.is_none() && matches!(settings.listen, Listen::Localhost(_));
    by_name(issuer).filter(|_| is_default).map(|name| {
        format!(
            "the issuer stays {}, as it was before, and browsers make no passkeys for an IP address: for \
             passkeys set issuer = {name:?}; clients must be told the new name and log in again",
            issuer.origin()
        )
    })
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
    use countersign_store::sqlite::{SqliteOptions, SqliteStore};

    use super::*;

    fn settings_of(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

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

    #[test]
    fn whoever_goes_on_by_an_address_is_told_how_to_have_passkeys() {
        let hint = |settings: &str, issuer: &str| {
            let settings: Settings = toml::from_str(settings).unwrap();
            without_passkeys(&settings, &TargetUri::parse(issuer).unwrap())
        };
        let address = "http://127.0.0.1:8080";
        let said = hint("", address).unwrap();
        assert!(said.contains("issuer = \"http://localhost:8080\""), "{said}");
        assert!(said.contains(address), "{said}");
        assert_eq!(hint("", "http://localhost:8080"), None);
        assert_eq!(hint("issuer = \"http://127.0.0.1:8080\"", address), None, "their own choice");
        assert_eq!(hint("listen = \"127.0.0.1:8080\"", address), None, "their own choice");
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
            assert_eq!(known(&settings, &store).await.unwrap().unwrap(), origin);
            let options = settings_of("listen = \"127.0.0.1:9\"");
            let of_start = known(&options, &store).await.unwrap();
            assert_eq!(of_start.unwrap(), origin, "other settings than the start's");
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
