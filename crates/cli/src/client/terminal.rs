//! Questions to the person at the terminal.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{bail, ensure};

/// Asks for consent to what cannot be undone; `--yes` gives it beforehand.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        bail!("{question}: there is no terminal to ask at; say --yes");
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    let agreed = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    ensure!(agreed, "nothing was changed");
    Ok(())
}
