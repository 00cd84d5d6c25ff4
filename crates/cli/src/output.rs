//! The output of commands: results go to standard output, everything else to standard error.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use zeroize::Zeroizing;

/// Whether remarks are written as lines of the log. A program that reads the log takes every line
/// of standard error for JSON.
static IN_THE_LOG: AtomicBool = AtomicBool::new(false);

/// From here on, remarks and failures are lines of the log.
pub(crate) fn remark_in_the_log() {
    IN_THE_LOG.store(true, Ordering::Relaxed);
}

/// Writes a line of the result. A reader that has left (such as `head`) is no error.
pub(crate) fn line(text: impl AsRef<str>) -> io::Result<()> {
    bytes(format!("{}\n", text.as_ref()).as_bytes())
}

/// Writes JSON as a line of the result. Its texts may be by others, so what could control a terminal or mislead a
/// reader is escaped, which means the same to programs.
pub(crate) fn json(text: &str) -> io::Result<()> {
    line(text.chars().map(escaped).collect::<String>())
}

fn escaped(c: char) -> String {
    // JSON has no line break within a text.
    if c != '\n' && misleads(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }
}

/// Whether a character could control a terminal or mislead a reader. All of them are below U+10000.
pub(crate) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

/// Writes a line of the result that exists nowhere else, such as a code. A reader that has left is
/// an error here.
pub(crate) fn only_copy(text: &str) -> io::Result<()> {
    let line = Zeroizing::new(format!("{text}\n"));
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush())
}

/// Writes bytes of the result as they are.
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a remark for the person at the terminal.
pub(crate) fn remark(text: impl AsRef<str>) {
    if IN_THE_LOG.load(Ordering::Relaxed) {
        let text = text.as_ref();
        if let Some(warning) = text.strip_prefix("WARNING: ") {
            tracing::warn!("{warning}");
        } else {
            tracing::info!("{text}");
        }
        return;
    }
    // If standard error is closed or its disk is full, remarks are dropped and the command goes on.
    let _: io::Result<()> = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// The exit status of a command that did what it was asked, but then failed at a later step.
const DONE_BUT: u8 = 3;

/// What was done before a later step failed. Such an error has an exit status of its own, because
/// the command must not be repeated: the account or key already exists.
#[derive(Debug, thiserror::Error)]
#[error("{0}, but what came after it failed")]
struct Done(String);

/// The result of the steps after the requested work; `done` describes that work.
pub(crate) fn after<T>(
    done: impl Into<String>,
    rest: Result<T, impl Into<anyhow::Error>>,
) -> anyhow::Result<T> {
    rest.map_err(|error| error.into().context(Done(done.into())))
}

/// Writes what went wrong, with its causes, and gives the exit status for it.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    let mut text = format!("countersign: {error}");
    let mut said = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Some errors repeat their source in their own words.
        if !said.contains(&cause) {
            text.push_str("\n  because: ");
            text.push_str(&cause);
        }
        said = cause;
    }
    if IN_THE_LOG.load(Ordering::Relaxed) {
        tracing::error!("{text}");
    } else {
        remark(text);
    }
    if error.is::<Done>() { ExitCode::from(DONE_BUT) } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_json_steer_no_terminal_and_stay_the_same_texts() {
        let hostile = "a\u{9b}31m\u{202e}\u{1b}b\u{7f}é";
        let text = serde_json::to_string_pretty(&serde_json::json!({ "name": hostile })).unwrap();
        let written: String = text.chars().map(escaped).collect();
        assert!(written.chars().all(|c| c == '\n' || !misleads(c)), "{written}");
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read["name"], hostile);
    }
}
