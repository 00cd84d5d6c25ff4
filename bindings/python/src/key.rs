//! Key pairs as objects of Python: they sign, and say nothing of their private half.

use std::sync::Arc;

use countersign_client::{KeyFileError, read_private_key};
use countersign_remote::protocol::{
    keys::{KeyError, KeyPolicy, NewKey, PrivateKey},
    strict::{json, pem},
};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyDict, PyString},
};

/// A key pair. Neither `repr` nor `pickle` gives the private half away; `to_pem` does.
#[pyclass(frozen, module = "countersign")]
pub(crate) struct Key(pub(crate) Arc<PrivateKey>);

#[pymethods]
impl Key {
    /// A new key: `P-256`, `P-384`, `Ed25519`, `RSA-2048`, `RSA-3072` or `RSA-4096`.
    #[staticmethod]
    #[pyo3(signature = (kind = "P-256"))]
    fn generate(py: Python<'_>, kind: &str) -> PyResult<Self> {
        let kind = match kind {
            "P-256" => NewKey::EcP256,
            "P-384" => NewKey::EcP384,
            "Ed25519" => NewKey::Ed25519,
            "RSA-2048" => NewKey::Rsa2048,
            "RSA-3072" => NewKey::Rsa3072,
            "RSA-4096" => NewKey::Rsa4096,
            other => {
                return Err(PyValueError::new_err(format!(
                    "{other:?} is no kind of key: P-256, P-384, Ed25519, RSA-2048, RSA-3072 or RSA-4096"
                )));
            }
        };
        Self::of(py.detach(|| PrivateKey::generate(kind)))
    }

    /// The key in a PEM text: PKCS#8, SEC 1, PKCS#1 or the format of OpenSSH. The passphrase opens an
    /// encrypted PKCS#8 or OpenSSH key.
    #[staticmethod]
    #[pyo3(signature = (pem, passphrase = None))]
    fn from_pem(pem: &str, passphrase: Option<&str>) -> PyResult<Self> {
        Self::of(read_private_key(pem.as_bytes(), passphrase))
    }

    /// The key in a private JWK (RFC 7517): an object, or its text.
    #[staticmethod]
    fn from_jwk(jwk: &Bound<'_, PyAny>) -> PyResult<Self> {
        let text = match jwk.cast::<PyString>() {
            Ok(text) => text.to_string(),
            Err(_) => jwk.py().import("json")?.call_method1("dumps", (jwk,))?.extract()?,
        };
        let members = json::parse_object(text.as_bytes()).map_err(KeyError::from);
        let key = members.and_then(|jwk| PrivateKey::from_jwk(&jwk, &KeyPolicy::default()));
        Self::of(key.map_err(KeyFileError))
    }

    /// The private key as PKCS#8 in PEM, unencrypted: a secret.
    fn to_pem(&self) -> String {
        pem::encode("PRIVATE KEY", &self.0.to_pkcs8_der())
    }

    /// The RFC 7638 thumbprint of the public half, which names the key everywhere.
    #[getter]
    fn thumbprint(&self) -> String {
        self.0.public_key().thumbprint().to_string()
    }

    /// What the key signs with, by its JOSE name.
    #[getter]
    fn algorithm(&self) -> &'static str {
        self.0.algorithm().name()
    }

    /// The public half as a JWK (RFC 7517).
    #[getter]
    fn public_jwk<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let jwk = PyDict::new(py);
        for (name, value) in self.0.public_key().to_jwk() {
            jwk.set_item(name, value.as_str())?;
        }
        Ok(jwk)
    }

    /// The public half as PEM.
    #[getter]
    fn public_pem(&self) -> String {
        self.0.public_key().to_spki_pem()
    }

    fn __repr__(&self) -> String {
        format!("<countersign.Key {} {}>", self.algorithm(), self.thumbprint())
    }
}

impl Key {
    fn of(key: Result<PrivateKey, impl std::error::Error>) -> PyResult<Self> {
        let key = key.map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self(Arc::new(key)))
    }

    /// Another holder of the same key, for who must own one.
    pub(crate) fn copy(&self) -> PyResult<PrivateKey> {
        let copy = PrivateKey::from_pkcs8_der(&self.0.to_pkcs8_der(), &KeyPolicy::default());
        copy.map_err(|error| PyValueError::new_err(error.to_string()))
    }
}
