//! `countersign admin migrate`.

use countersign_store::postgres::{DatabaseUrl, PostgresError, SchemaReport};

use super::database::{open_shared, require_url};
use crate::{
    config::Settings,
    output,
    shared_database::{self, Purpose},
};

pub(super) async fn run(settings: &Settings) -> anyhow::Result<()> {
    let url = require_url(settings)?;
    let before = match open_shared(settings, Purpose::Command) {
        Ok((_, store, _)) => {
            output::remark(already(&url, store.schema().await?));
            return Ok(());
        }
        Err(error) => match error.downcast_ref() {
            Some(PostgresError::OlderSchema { found, .. }) => *found,
            _ => return Err(error),
        },
    };
    let (store, _) = shared_database::open(settings, &url, Purpose::Migrate)?;
    let SchemaReport { version, runs_with_from, .. } = store.schema().await?;
    output::remark(format!("brought {url} from schema version {before} to {version}"));
    if runs_with_from <= before {
        output::remark("servers of the version before go on; replace one after the other");
    }
    Ok(())
}

/// Why there is nothing to do.
fn already(url: &DatabaseUrl, schema: SchemaReport) -> String {
    let SchemaReport { version, known, .. } = schema;
    if version > known {
        format!(
            "{url} has schema version {version}, of a newer program; this one knows {known} and works with it"
        )
    } else {
        format!("{url} has schema version {version} already, and stays as it is")
    }
}
