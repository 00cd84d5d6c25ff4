//! What the command says: results to standard output, everything else to standard error.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// Writes a line of the result. A reader that has left (such as `head`) is no error.
pub(crate) fn line(text: impl AsRef<str>) -> io::Result<()> {
    bytes(format!("{}\n", text.as_ref()).as_bytes())
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
#[expect(clippy::print_stderr, reason = "this is the one place that writes remarks")]
pub(crate) fn remark(text: impl AsRef<str>) {
    eprintln!("{}", text.as_ref());
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
    remark(text);
    ExitCode::FAILURE
}
