//! What is required of a principal, from Python's values.

use std::sync::Arc;

use countersign_remote::{
    guard::{self, LoginRequirements},
    protocol::{AuthenticationClass, Scopes},
};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::seconds::seconds;

/// The requirements of a route. They are read once and used for any number of requests.
#[pyclass(frozen, module = "countersign._native")]
pub(crate) struct Requirements(pub(crate) Arc<guard::Requirements>);

#[pymethods]
impl Requirements {
    /// Of the scopes in `scope`, which are separated by single spaces, a login of the class `acr`, and
    /// one that is at most `max_age` seconds old.
    #[new]
    fn new(scope: &str, acr: Option<&str>, max_age: Option<f64>) -> PyResult<Self> {
        let scopes = scope.parse::<Scopes>();
        let scopes = scopes.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let login = login(("acr", acr), max_age)?;
        Ok(Self(Arc::new(guard::Requirements { scopes, login })))
    }
}

/// The login that is required by arguments of these names.
///
/// # Errors
/// `ValueError`, which says what is wrong.
pub(crate) fn login(
    (name, acr): (&str, Option<&str>),
    max_age: Option<f64>,
) -> PyResult<LoginRequirements> {
    let class = |text: &str| {
        text.parse::<AuthenticationClass>()
            .map_err(|error| PyValueError::new_err(format!("{name}={text:?}: {error}")))
    };
    Ok(LoginRequirements {
        acr: acr.map(class).transpose()?,
        max_age: max_age.map(|age| seconds("max_age", age)).transpose()?,
    })
}
