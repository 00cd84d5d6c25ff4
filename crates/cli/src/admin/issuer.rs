//! `countersign admin issuer`.

use clap::Args;
use countersign_authority::ports::IssuerStore as _;

use super::database::open_shared;
use crate::{config::Settings, node, output, shared_database::Purpose};

#[derive(Args)]
pub(super) struct Options {
    /// The origin by which clients are to know the servers, such as <https://auth.example.com>
    url: String,
}

pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    let settings = Settings { issuer: Some(options.url), ..settings.clone() };
    let origin = settings.origin(settings.listen)?;
    let (url, store, _) = open_shared(&settings, Purpose::Command)?;
    node::refuse_while_running(&store).await?;
    let before = store.issuer().await?;
    if before.as_deref() == Some(origin.origin()) {
        output::remark(format!("the servers of {url} go by {} already", origin.origin()));
        return Ok(());
    }
    store.keep_issuer(origin.origin()).await?;
    output::remark(format!("the servers of {url} go by {} from now on", origin.origin()));
    if let Some(before) = before {
        output::remark(format!(
            "it was {before}: tokens from before are refused, and clients must be told the new name"
        ));
    }
    Ok(())
}
