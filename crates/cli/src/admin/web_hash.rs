//! `countersign admin web-hash`: which account app a server with these settings serves.

use clap::Args;

use crate::{config::Settings, output};

#[derive(Args)]
pub(super) struct Options {
    /// Show the SHA-256 of each file, as `sha256sum` writes it, instead of the hash over all
    #[arg(long)]
    files: bool,
}

pub(super) fn run(settings: &Settings, options: &Options) -> anyhow::Result<()> {
    let files = settings.web.files()?;
    let text = if options.files { files.list() } else { format!("{}\n", files.hash()) };
    Ok(output::bytes(text.as_bytes())?)
}
