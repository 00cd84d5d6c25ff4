//! Times that Python states as numbers of seconds.

use std::time::Duration;

use pyo3::{exceptions::PyValueError, prelude::*};

/// The length of time that an argument says.
///
/// # Errors
/// `ValueError` for a negative number, and for what is no number.
pub(crate) fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|_| {
        PyValueError::new_err(format!("{name} must be a number of seconds, not {value}"))
    })
}
