//! Logs: for people or as JSON, to standard error, through `tracing`. Why formatter and writer are own
//! code says ADR 17.

mod human;
mod lines;

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, ensure};
use countersign_system::SystemClock;
use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt};

use self::{human::Human, lines::Lines};
use crate::{
    config::{LogFormat, LogSettings},
    output,
};

/// Starts logging as `settings` say. Called once, by the commands that serve. Dropping the result
/// writes all waiting lines.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<Lines> {
    let filter = filter(&settings.level)?;
    let colours = io::stderr().is_terminal();
    let lines = Lines::to(io::stderr()).context("logging does not start")?;
    let writer = lines.clone();
    let builder = fmt::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    let started = match settings.format {
        LogFormat::Human => builder.event_format(Human::new(SystemClock::new())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging does not start: {error}"))?;
    if settings.format == LogFormat::Json {
        output::remark_in_the_log();
    }
    Ok(lines)
}

/// The filter in `log.level`. A word that is no level is refused: it would be taken for the name of
/// a module, and all other lines, even errors, would be lost.
fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    for directive in text.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim();
        ensure!(
            !level.is_empty() && level.parse::<LevelFilter>().is_ok(),
            "log.level (COUNTERSIGN_LOG_LEVEL) is {text:?}, and {level:?} is no level: error, warn, \
             info, debug, trace or off is needed, or a filter such as info,countersign_store=debug"
        );
    }
    EnvFilter::try_new(text).with_context(|| {
        format!(
            "log.level (COUNTERSIGN_LOG_LEVEL) is {text:?}, which is no filter of the tracing crate"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_level_that_is_none_is_refused_with_the_list_of_levels() {
        for good in
            ["error", "WARN", "info", "off", "info,countersign_store=debug", "warn,a::b=trace"]
        {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["verbose", "", "info,", "countersign_store", "info,a=loud", "warning"] {
            let error = filter(bad).expect_err(bad).to_string();
            assert!(error.contains("COUNTERSIGN_LOG_LEVEL"), "{error}");
            assert!(error.contains("error, warn, info, debug, trace or off"), "{error}");
        }
    }
}
