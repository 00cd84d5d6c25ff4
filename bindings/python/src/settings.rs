//! What a guard is told, from Python's values.

use std::path::PathBuf;

use countersign_client::Transport;
use countersign_remote::{
    NotStarted, ResourceServer, SharedState, TransportOptions,
    guard::{Reuse, SelfSignedPolicy},
    protocol::proofs::body_hash::BodyHashes,
};
use pyo3::{
    exceptions::{PyOSError, PyValueError},
    prelude::*,
    pybacked::PyBackedBytes,
};

use crate::{key::Key, requirements::login, seconds::seconds};

/// The arguments of `countersign.Guard`, in a dictionary. Times are in seconds.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Settings {
    issuer: String,
    origin: String,
    audience: Option<String>,
    accept_dpop: bool,
    accept_self_signed: Option<SelfSigned>,
    accept_signed_messages: bool,
    accept_bearer: bool,
    max_lag: f64,
    outage: f64,
    skew: f64,
    require_acr: Option<String>,
    max_age: Option<f64>,
    introspect_as: Option<(String, Py<Key>)>,
    scopes_supported: Vec<String>,
    extra_roots: Option<PyBackedBytes>,
    connect_timeout: f64,
    timeout: f64,
    shared_state: Sharing,
    nonce_secret: Option<PyBackedBytes>,
}

/// Where the processes of this machine meet, if they do.
#[derive(FromPyObject)]
enum Sharing {
    Whether(bool),
    Directory(PathBuf),
}

/// `countersign.SelfSigned`.
#[derive(FromPyObject)]
#[expect(clippy::struct_excessive_bools, reason = "they are keyword arguments in Python")]
struct SelfSigned {
    max_lifetime: f64,
    require_audience: bool,
    require_body_hash: bool,
    accept_md5: bool,
    max_hashed_body: usize,
    until_expiry: bool,
    other_names: bool,
    source_is_signer: bool,
}

impl Settings {
    /// The resource server of these settings. A process makes its own.
    ///
    /// # Errors
    /// `ValueError`, which says what is wrong.
    pub(crate) fn resource_server(&self) -> PyResult<ResourceServer> {
        countersign_client::check_address(&self.issuer).map_err(|error| invalid(&error))?;
        let mut server = ResourceServer::new(&self.issuer, &self.origin)
            .map_err(|error| invalid(&error))?
            .accept_dpop(self.accept_dpop)
            .max_lag(seconds("max_lag", self.max_lag)?)
            .outage(seconds("outage", self.outage)?)
            .skew(seconds("skew", self.skew)?)
            .scopes_supported(&self.scopes_supported)
            .transport(self.transport()?)
            .shared_state(self.shared_state.state());
        if let Some(secret) = &self.nonce_secret {
            server = server.nonce_secret(secret).map_err(|error| invalid(&error))?;
        }
        if let Some(audience) = &self.audience {
            server = server.audience(audience);
        }
        if let Some(self_signed) = &self.accept_self_signed {
            server = self_signed.accepted_by(server)?;
        }
        if self.accept_signed_messages {
            server = server.accept_signed_messages();
        }
        if self.accept_bearer {
            server = server.accept_bearer();
        }
        let login = login(("require_acr", self.require_acr.as_deref()), self.max_age)?;
        if !self.accept_dpop && !login.is_none() {
            return Err(invalid(&NotStarted::NoLogins));
        }
        if let Some(acr) = login.acr {
            server = server.require_acr(acr);
        }
        if let Some(max_age) = login.max_age {
            server = server.max_age(max_age);
        }
        if let Some((subject, key)) = &self.introspect_as {
            server = server.introspect_with(subject, key.get().copy()?);
        }
        Ok(server)
    }

    /// Refuses a directory for the shared state that is of no use. The guard itself starts with the first
    /// request, and a server that answers that with a failure would look as if it worked.
    ///
    /// # Errors
    /// `OSError`, which names the directory.
    pub(crate) fn check_shared_state(&self) -> PyResult<()> {
        let checked = self.shared_state.state().check();
        checked.map_err(|error| PyOSError::new_err(error.to_string()))
    }

    fn transport(&self) -> PyResult<TransportOptions> {
        let options = TransportOptions {
            connect_timeout: seconds("connect_timeout", self.connect_timeout)?,
            timeout: seconds("timeout", self.timeout)?,
            extra_roots_pem: self.extra_roots.as_ref().map(|pem| pem.to_vec()),
            ..TransportOptions::default()
        };
        Transport::new(options.clone()).map_err(|error| invalid(&error))?;
        Ok(options)
    }
}

impl Sharing {
    fn state(&self) -> SharedState {
        match self {
            Self::Whether(true) => SharedState::Chosen,
            Self::Whether(false) => SharedState::Alone,
            Self::Directory(path) => SharedState::Directory(path.clone()),
        }
    }
}

impl SelfSigned {
    fn accepted_by(&self, server: ResourceServer) -> PyResult<ResourceServer> {
        if self.source_is_signer && !self.require_body_hash {
            return Err(PyValueError::new_err(
                "source_is_signer=True needs require_body_hash=True: without the hash anybody may \
                 have written the body",
            ));
        }
        match (self.require_audience, self.require_body_hash) {
            (true, _) => Ok(server.accept_self_signed(self.policy()?)),
            (false, true) => Ok(server.accept_signed_bodies(self.policy()?)),
            (false, false) => Err(PyValueError::new_err(
                "require_audience=False needs require_body_hash=True: a JWT that names neither the \
                 API nor the body lets whoever receives it act for its account at every other API",
            )),
        }
    }

    fn policy(&self) -> PyResult<SelfSignedPolicy> {
        Ok(SelfSignedPolicy {
            max_lifetime: seconds("max_lifetime", self.max_lifetime)?,
            require_audience: self.require_audience,
            require_body_hash: self.require_body_hash,
            body_hashes: if self.accept_md5 { BodyHashes::Sha256OrMd5 } else { BodyHashes::Sha256 },
            max_hashed_body: self.max_hashed_body,
            reuse: if self.until_expiry { Reuse::UntilExpiry } else { Reuse::Once },
            other_names: self.other_names,
            source_is_signer: self.source_is_signer,
        })
    }
}

fn invalid(error: &dyn std::error::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}
