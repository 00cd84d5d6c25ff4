//! Where accounts and short-lived state are, if not in a file and in memory.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use countersign_store::postgres::DatabaseUrl;

use super::{settings::Settings, values::StatePlace};
use crate::{
    output,
    secret_file::{self, Keeper},
};

impl Settings {
    /// The PostgreSQL database, if there is one in place of the file.
    pub(crate) fn database_url(&self) -> anyhow::Result<Option<DatabaseUrl>> {
        match (&self.database_url, &self.database_url_file) {
            (Some(secret), _) => Ok(Some(secret.text().parse().context("database_url")?)),
            (None, Some(path)) => Ok(Some(read(path)?)),
            (None, None) => Ok(None),
        }
    }

    /// Where short-lived state is.
    pub(crate) fn state_place(&self) -> anyhow::Result<StatePlace> {
        let is_shared = self.database_url.is_some() || self.database_url_file.is_some();
        let usual = if is_shared { StatePlace::Postgres } else { StatePlace::Memory };
        let place = self.cluster.state.unwrap_or(usual);
        if place == StatePlace::Postgres {
            ensure!(is_shared, "cluster.state is postgres, and there is no database_url");
            ensure!(
                self.postgres.prepared,
                "postgres.prepared is false, for a pooler that gives each transaction another connection, and \
                 cluster.state = \"postgres\" needs connections of its own: connect without the pooler, or set \
                 cluster.state = \"memory\" and let the load balancer send each client to the same server"
            );
        }
        Ok(place)
    }
}

/// Reads the URL in the file at `path`.
pub(crate) fn read(path: &Path) -> anyhow::Result<DatabaseUrl> {
    let describe = || format!("database_url_file {}", path.display());
    let file = fs::metadata(path).with_context(describe)?;
    secret_file::check(path, &file, Keeper::Service, "set COUNTERSIGN_DATABASE_URL instead")?;
    fs::read_to_string(path).with_context(describe)?.trim().parse().with_context(describe)
}

/// Warns of a password on the command line.
pub(crate) fn warn_if_others_see(url: &DatabaseUrl, option: &str, instead: &str) {
    if url.has_password() {
        output::remark(format!(
            "WARNING: whoever may see the processes of this machine sees the password in {option}; put the URL \
             into a file and name that with {instead}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_url_comes_from_the_setting_or_from_a_file_for_its_owner_alone() {
        assert_eq!(settings("").database_url().unwrap(), None);
        let url = "postgres://alice:s3cret@db/auth";
        let given = settings(&format!("database_url = {url:?}"));
        assert_eq!(given.database_url().unwrap().unwrap(), url.parse().unwrap());
        assert!(!format!("{given:?}").contains("s3cret"));

        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{url}").unwrap();
        let given = settings(&format!("database_url_file = {:?}", file.path()));
        assert_eq!(given.database_url().unwrap().unwrap(), url.parse().unwrap());
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let told = given.database_url().unwrap_err().to_string();
        assert!(told.contains("chmod 600") && told.contains("COUNTERSIGN_DATABASE_URL"), "{told}");
    }

    #[test]
    fn what_is_no_url_is_refused_without_its_text() {
        let given = settings("database_url = \"mysql://alice:s3cret@db/auth\"");
        let told = format!("{:#}", given.database_url().unwrap_err());
        assert!(told.starts_with("database_url: ") && !told.contains("s3cret"), "{told}");
    }
}
