//! The client: logs in and signs, while an HTTP library of Python sends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use countersign_client::{
    ClientError, Login, LoginRequest, NewAccount, Recovered, Recovery, Registration, Request,
    Transport, check_address,
};
use countersign_remote::protocol::{
    keys::PrivateKey, ports::Clock as _, proofs::target_uri::TargetUri,
};
use countersign_system::{SystemClock, SystemRandom};
use http::Method;
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{
    conversation::{self, ByPython, Conversation},
    key::Key,
    locking::lock,
};

/// A token that ends sooner than this is not used any more.
const LEAST_REST: Duration = Duration::from_secs(30);
/// For so many APIs tokens are kept.
const MAX_LOGINS: usize = 64;

/// An account at a server, and the tokens that it has got there.
#[pyclass(frozen, module = "countersign._native")]
pub(crate) struct Client(Arc<Account>);

struct Account {
    issuer: String,
    username: String,
    key: Arc<PrivateKey>,
    scope: Option<String>,
    resource: Option<String>,
    /// The server, once it has been found.
    server: Mutex<Option<countersign_client::Client>>,
    /// The newest login for each API, by its name.
    logins: Mutex<BTreeMap<String, Arc<Login>>>,
}

#[pymethods]
impl Client {
    #[new]
    fn new(
        issuer: String,
        username: String,
        key: &Key,
        scope: Option<String>,
        resource: Option<String>,
    ) -> PyResult<Self> {
        check_address(&issuer).map_err(|error| PyValueError::new_err(error.to_string()))?;
        Ok(Self(Arc::new(Account {
            issuer,
            username,
            key: Arc::clone(&key.0),
            scope,
            resource,
            server: Mutex::default(),
            logins: Mutex::default(),
        })))
    }

    /// Makes the account; ends with its id.
    fn register(&self, label: Option<String>, enrolment_code: Option<String>) -> Conversation {
        let account = Arc::clone(&self.0);
        Conversation::new(async move {
            let registration = account.register(label, enrolment_code).await?;
            Ok(Some(registration.account_id))
        })
    }

    /// Lets the key in to an account that exists, by the code of an administrator; ends with its id.
    fn recover(&self, code: String, label: Option<String>) -> Conversation {
        let account = Arc::clone(&self.0);
        Conversation::new(async move {
            let recovered = account.recover(&code, label.as_deref()).await?;
            Ok(Some(recovered.account_id))
        })
    }

    /// Signs a request, after logging in where that is needed.
    fn sign(&self, method: &str, url: &str, body: Vec<u8>) -> PyResult<Conversation> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| PyValueError::new_err(format!("{method:?} is no method")))?;
        let request = Request { body, ..Request::new(method, url) };
        let account = Arc::clone(&self.0);
        Ok(Conversation::new(async move { account.sign(request).await }))
    }
}

impl Account {
    async fn register(
        &self,
        label: Option<String>,
        enrolment_code: Option<String>,
    ) -> Result<Registration, ClientError> {
        let account = NewAccount {
            username: &self.username,
            label: label.as_deref(),
            enrolment_code: enrolment_code.as_deref(),
        };
        self.server().await?.register(&self.key, &account).await
    }

    async fn recover(&self, code: &str, label: Option<&str>) -> Result<Recovered, ClientError> {
        let recovery = Recovery { account: &self.username, code, label };
        self.server().await?.recover(&self.key, &recovery).await
    }

    async fn sign(&self, request: Request) -> Result<conversation::Outcome, ClientError> {
        let login = self.logged_in(&request.url).await?;
        login.send(request).await?;
        Ok(None)
    }

    /// The login for the API at `url`.
    async fn logged_in(&self, url: &str) -> Result<Arc<Login>, ClientError> {
        let resource = self.resource_of(url)?;
        let name = resource.clone().unwrap_or_default();
        let now = SystemClock::new().now();
        let known = lock(&self.logins).get(&name).map(Arc::clone);
        if let Some(known) = known.filter(|known| now + LEAST_REST < known.expires_at()) {
            return Ok(known);
        }
        let request = LoginRequest {
            subject: &self.username,
            scope: self.scope.as_deref(),
            resource: resource.as_deref(),
            session_key: None,
        };
        let login = Arc::new(self.server().await?.login(&self.key, &request).await?);
        let mut logins = lock(&self.logins);
        if logins.len() >= MAX_LOGINS {
            logins.pop_first();
        }
        logins.insert(name, Arc::clone(&login));
        Ok(login)
    }

    /// What a token must be for to be taken at `url`; none for the server itself.
    fn resource_of(&self, url: &str) -> Result<Option<String>, ClientError> {
        if self.resource.is_some() {
            return Ok(self.resource.clone());
        }
        let origin = |address: &str| {
            let uri = TargetUri::parse(address);
            let uri = uri.map_err(|_| ClientError::Address { address: address.to_owned() })?;
            Ok::<_, ClientError>(uri.origin().to_owned())
        };
        let (api, server) = (origin(url)?, origin(&self.issuer)?);
        Ok(Some(api).filter(|api| *api != server))
    }

    async fn server(&self) -> Result<countersign_client::Client, ClientError> {
        let known = lock(&self.server).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        let transport = Transport::by(Arc::new(ByPython));
        let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
        let found =
            countersign_client::Client::discover(&self.issuer, transport, clock, random).await?;
        *lock(&self.server) = Some(found.clone());
        Ok(found)
    }
}
