//! Whether the database server keeps what it acknowledges.

use super::{error::PostgresError, live::Live, schema::first};

/// The first version that has all that is used here, as PostgreSQL writes it.
const LEAST_VERSION: i64 = 140_000;

/// The standbys of a server, which are not the programs that copy it. Who may not see their states sees null,
/// and that there are some.
pub(super) const STANDBYS: &str = "pg_stat_replication WHERE state IS DISTINCT FROM 'backup'
    AND application_name IS DISTINCT FROM 'pg_basebackup'
    AND application_name IS DISTINCT FROM 'pg_receivewal'";

/// What the server says of itself.
struct Server {
    version_number: i64,
    version: String,
    encoding: String,
    synchronous_commit: String,
    synchronous_standby_names: String,
    fsync: String,
    /// How many standbys follow it.
    standbys: i64,
    replication_role: String,
    /// Where functions are looked for first.
    first_schema: Option<String>,
}

/// Refuses a server of a wrong kind, and one that may lose what it acknowledged, unless
/// `allow_asynchronous`.
pub(super) async fn check(live: &Live, allow_asynchronous: bool) -> Result<(), PostgresError> {
    let server = ask(live).await?;
    if server.version_number < LEAST_VERSION {
        return Err(PostgresError::TooOld { found: server.version });
    }
    if server.encoding != "UTF8" {
        return Err(PostgresError::Encoding { found: server.encoding });
    }
    if let Some(reason) = server.breaks() {
        return Err(PostgresError::Defaults { reason });
    }
    if server.fsync == "off" {
        tracing::warn!(
            "fsync is off in the database server: a crash of its machine can destroy the database"
        );
    }
    match server.may_lose() {
        Some(reason) if allow_asynchronous => {
            tracing::warn!(
                reason,
                "the database server may lose changes that were acknowledged: a revoked key may come back"
            );
            Ok(())
        }
        Some(reason) => Err(PostgresError::Asynchronous { reason: reason.to_owned() }),
        None => Ok(()),
    }
}

async fn ask(live: &Live) -> Result<Server, PostgresError> {
    let select = format!(
        "SELECT CAST(current_setting('server_version_num') AS BIGINT), current_setting('server_version'),
        CAST(pg_encoding_to_char(encoding) AS TEXT), current_setting('synchronous_commit'),
        current_setting('synchronous_standby_names'), current_setting('fsync'),
        (SELECT count(*) FROM {STANDBYS}), current_setting('session_replication_role'),
        (SELECT CAST(s AS TEXT) FROM unnest(current_schemas(true)) AS s WHERE left(s, 7) <> 'pg_temp' LIMIT 1)
        FROM pg_database WHERE datname = current_database()"
    );
    first(live, &select, |row| {
        Ok(Server {
            version_number: row.try_get(0)?,
            version: row.try_get(1)?,
            encoding: row.try_get(2)?,
            synchronous_commit: row.try_get(3)?,
            synchronous_standby_names: row.try_get(4)?,
            fsync: row.try_get(5)?,
            standbys: row.try_get(6)?,
            replication_role: row.try_get(7)?,
            first_schema: row.try_get(8)?,
        })
    })
    .await
}

impl Server {
    /// What the database, or its user, has by default that no statement of this program takes into account.
    fn breaks(&self) -> Option<String> {
        if self.replication_role != "origin" {
            let role = &self.replication_role;
            return Some(format!(
                "session_replication_role is {role}, which switches off what keeps the tables consistent"
            ));
        }
        let first = self.first_schema.as_deref().unwrap_or_default();
        (first != "pg_catalog").then(|| {
            format!("search_path has {first} before pg_catalog, so functions there replace those of PostgreSQL")
        })
    }

    fn may_lose(&self) -> Option<&'static str> {
        may_lose(&self.synchronous_commit, &self.synchronous_standby_names, self.standbys > 0)
    }
}

/// Why a change may be lost after a server with these settings acknowledged it. `has_standbys` says whether
/// any follow it.
pub(super) fn may_lose(
    synchronous_commit: &str,
    synchronous_standby_names: &str,
    has_standbys: bool,
) -> Option<&'static str> {
    let names_standbys = !synchronous_standby_names.trim().is_empty();
    match synchronous_commit {
        "off" => Some("synchronous_commit is off, so it acknowledges before it has written"),
        "local" if names_standbys => {
            Some("synchronous_commit is local, so it does not wait for its standbys")
        }
        _ if has_standbys && !names_standbys => Some(
            "it has standbys and waits for none: synchronous_standby_names is empty, and should \
                 be 'ANY 1 (NAME, NAME)' or the like, with the names of the standbys",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_acknowledges_too_early_is_refused() {
        let loses = |commit: &str, names: &str, standbys| {
            let server = Server {
                version_number: LEAST_VERSION,
                version: "14.0".to_owned(),
                encoding: "UTF8".to_owned(),
                synchronous_commit: commit.to_owned(),
                synchronous_standby_names: names.to_owned(),
                fsync: "on".to_owned(),
                standbys,
                replication_role: "origin".to_owned(),
                first_schema: None,
            };
            server.may_lose().is_some()
        };
        for (commit, names, standbys, expected) in [
            ("on", "", 0, false),
            ("on", "", 1, true),
            ("on", "ANY 1 (*)", 1, false),
            // It then waits until there is one.
            ("on", "ANY 1 (*)", 0, false),
            ("local", "ANY 1 (*)", 1, true),
            ("local", "", 0, false),
            ("off", "", 0, true),
            ("remote_apply", "a, b", 2, false),
        ] {
            assert_eq!(loses(commit, names, standbys), expected, "{commit} {names} {standbys}");
        }
    }
}
