//! A terminal that shows nothing of what is typed.
//!
//! The library that reads the line switches the echo off and on again too, but after its prompt, and not when
//! a signal ends the program: the shell's next lines would be unseen.

use std::{fs::File, io, thread};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::{
    consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

/// Shows what is typed again when it is dropped, and when a signal ends the program before.
pub(super) struct HiddenInput {
    terminal: File,
    before: Termios,
}

impl HiddenInput {
    /// From now on nothing is shown.
    ///
    /// # Errors
    /// When there is no terminal.
    pub(super) fn begin() -> io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        show_again_on_signals(terminal.try_clone()?, before.clone())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Now, &hidden)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        // If it fails, the terminal is gone.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Waits for signals for as long as the program runs, because a handler cannot be taken away again.
fn show_again_on_signals(terminal: File, before: Termios) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    thread::Builder::new().name("terminal".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}
