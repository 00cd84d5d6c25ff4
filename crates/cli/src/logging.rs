//! Logs: for people or as JSON, to standard error, through `tracing`.

mod human;
mod lines;

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use countersign_system::SystemClock;
use tracing_subscriber::{EnvFilter, fmt};

use self::{human::Human, lines::Lines};
use crate::config::{LogFormat, LogSettings};

/// Starts logging as `settings` say. Called once, by the commands that serve. When what it returns
/// is dropped, all lines are written.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<Lines> {
    let filter = EnvFilter::try_new(&settings.level)
        .context("log.level is not a level or a filter of the tracing crate")?;
    let colours = io::stderr().is_terminal();
    let lines = Lines::to(io::stderr(), colours).context("logging does not start")?;
    let writer = lines.clone();
    let builder = fmt::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    let started = match settings.format {
        LogFormat::Human => builder.event_format(Human::new(SystemClock::new())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging does not start: {error}"))?;
    Ok(lines)
}
