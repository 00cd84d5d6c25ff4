//! The guard and the client for Python: the module `countersign._native`.
//!
//! Every check is that of `countersign-remote` and of the crates below it. This crate translates: requests
//! of Python into those of the guard, verdicts into answers, keys and tokens into opaque objects. What
//! belongs to a framework or to an HTTP library is in the package `countersign` beside it, in Python.

mod background;
mod client;
mod conversation;
mod guard;
mod key;
mod locking;
mod request;
mod requirements;
mod seconds;
mod settings;
mod verdict;

use pyo3::prelude::*;

/// What the package `countersign` is made with; not for others.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::conversation::{ClientFailed, Conversation, Outgoing};
    #[pymodule_export]
    use crate::guard::{Guard, Pending};
    #[pymodule_export]
    use crate::key::Key;
    #[pymodule_export]
    use crate::request::Incoming;
    #[pymodule_export]
    use crate::requirements::Requirements;
    #[pymodule_export]
    use crate::verdict::{Accepted, Refused};

    use super::{PyModule, PyResult, start_logging};
    use pyo3::Bound;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        start_logging(module.py())
    }
}

/// Hands what the upkeep says to the logger `countersign_remote` of Python's `logging`.
fn start_logging(py: Python<'_>) -> PyResult<()> {
    let logger = pyo3_log::Logger::new(py, pyo3_log::Caching::LoggersAndLevels)?
        .filter(log::LevelFilter::Off)
        .filter_target("countersign_remote".to_owned(), log::LevelFilter::Info);
    // Another module of this process may have been first; then its choice holds.
    let _ = logger.install();
    Ok(())
}
