//! The guard: decides about requests, as a rule at once.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use countersign_remote::{
    NotStarted, RemoteGuard,
    guard::{self as guarding, BodyError, Refusal},
};
use pyo3::{
    exceptions::{PyOSError, PyRuntimeError, PyValueError},
    prelude::*,
};
use tokio::sync::OnceCell;

use crate::{
    background::Background,
    locking::lock,
    request::{Head, Incoming},
    requirements::Requirements,
    settings::Settings,
    verdict::{Accepted, Refused, Verdict},
};

/// The requirements of a request where Python names none.
const NOTHING: &guarding::Requirements = &guarding::Requirements::none();

type Deciding = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// The guard of a resource server. It starts with the first request of each process: a fork has no
/// threads of its parent, and must not have its nonces either.
#[pyclass(frozen, module = "countersign._native")]
pub(crate) struct Guard {
    settings: Settings,
    /// Only ever locked by who holds the interpreter, so no fork finds it locked.
    started: Mutex<Option<Arc<Started>>>,
}

/// A guard that works in this process.
struct Started {
    remote: RemoteGuard,
    /// Set when the issuer has been asked for the first time, whatever it answered.
    asked: OnceCell<()>,
    background: Background,
}

/// A decision that waits for the issuer.
#[pyclass(frozen, module = "countersign._native")]
pub(crate) struct Pending {
    deciding: Mutex<Option<Deciding>>,
    started: Arc<Started>,
}

/// A decision, or one that waits.
#[derive(IntoPyObject)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is returned once for each request, and a box would be one more allocation"
)]
pub(crate) enum Begun {
    Decided(Verdict),
    Pending(Pending),
}

#[pymethods]
impl Guard {
    #[new]
    fn new(settings: Settings) -> PyResult<Self> {
        settings.resource_server()?;
        settings.check_shared_state()?;
        Ok(Self { settings, started: Mutex::new(None) })
    }

    /// Begins to fetch what is needed, in place of the first request.
    fn start(&self) -> PyResult<()> {
        self.started().map(drop)
    }

    /// Whether `verify` needs the body of `request`.
    fn needs_body(&self, request: &Incoming) -> PyResult<bool> {
        let started = self.started()?;
        Ok(request.head.as_ref().is_ok_and(|head| started.guard().needs_body(&head.headers)))
    }

    /// The largest body that is worth reading, in bytes.
    fn max_hashed_body(&self) -> PyResult<usize> {
        Ok(self.started()?.guard().max_hashed_body())
    }

    /// Decides about `request`, with its whole body where that is needed, and what is required of the
    /// principal besides what the settings require of all.
    fn verify(
        &self,
        py: Python<'_>,
        request: &Incoming,
        body: Option<Vec<u8>>,
        required: Option<&Requirements>,
    ) -> PyResult<Begun> {
        let required = required.map(|required| Arc::clone(&required.0));
        let started = self.started()?;
        let head = match &request.head {
            Ok(head) => Arc::clone(head),
            Err(refusal) => {
                let refused = Refused::early(started.guard(), refusal.clone());
                return Ok(Begun::Decided(Verdict::Refused(refused)));
            }
        };
        let mut deciding: Deciding = Box::pin(decide(Arc::clone(&started), head, body, required));
        // Nearly always everything is in memory, and the first look decides.
        let polled = py.detach(|| {
            let _runtime = started.background.enter();
            deciding.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        Ok(match polled {
            Poll::Ready(verdict) => Begun::Decided(verdict),
            Poll::Pending => {
                Begun::Pending(Pending { deciding: Mutex::new(Some(deciding)), started })
            }
        })
    }

    /// The refusal of a body that is too large for its hash to be checked.
    fn body_too_large(&self) -> PyResult<Refused> {
        Ok(Refused::early(self.started()?.guard(), Refusal::Body(BodyError::TooLarge)))
    }

    /// The refusal of a body that broke off.
    fn body_unreadable(&self) -> PyResult<Refused> {
        Ok(Refused::early(self.started()?.guard(), Refusal::Body(BodyError::Unreadable)))
    }

    /// The refusal of `accepted` where more is required than it has.
    fn lacks(&self, accepted: &Accepted, required: &Requirements) -> PyResult<Option<Refused>> {
        let started = self.started()?;
        let refused = started.guard().permit(&accepted.principal, &required.0).err();
        Ok(refused.map(|refused| Refused::new(started.guard(), &refused)))
    }

    /// Where that is to be served; nowhere for an audience that is no URL at the origin.
    fn metadata_path(&self) -> PyResult<Option<String>> {
        Ok(self.started()?.remote.metadata_path().map(str::to_owned))
    }

    /// What the service says about itself (RFC 9728), as JSON.
    fn metadata(&self) -> PyResult<String> {
        Ok(self.started()?.remote.metadata().to_string())
    }
}

impl Guard {
    /// The guard of this process, started if it was not.
    fn started(&self) -> PyResult<Arc<Started>> {
        let mut started = lock(&self.started);
        match &*started {
            Some(started) if started.background.is_of_this_process() => Ok(Arc::clone(started)),
            _ => {
                let fresh = Arc::new(Started::new(&self.settings)?);
                *started = Some(Arc::clone(&fresh));
                Ok(fresh)
            }
        }
    }
}

impl Started {
    fn new(settings: &Settings) -> PyResult<Self> {
        let background = Background::start().map_err(PyOSError::new_err)?;
        let server = settings.resource_server()?;
        let remote = {
            let _runtime = background.enter();
            server.start().map_err(|error| match &error {
                NotStarted::SharedState(_) => PyOSError::new_err(error.to_string()),
                NotStarted::NoRuntime
                | NotStarted::NoLogins
                | NotStarted::Origin(_)
                | NotStarted::Transport(_)
                | NotStarted::NonceSecret { .. } => PyValueError::new_err(error.to_string()),
            })?
        };
        Ok(Self { remote, asked: OnceCell::new(), background })
    }

    fn guard(&self) -> &guarding::Guard {
        self.remote.guard()
    }
}

async fn decide(
    started: Arc<Started>,
    head: Arc<Head>,
    body: Option<Vec<u8>>,
    required: Option<Arc<guarding::Requirements>>,
) -> Verdict {
    // The first requests of a process wait for what later ones find in memory. When the issuer cannot
    // be asked they are refused, and the upkeep logs why.
    started.asked.get_or_init(|| async { drop(started.remote.ready().await) }).await;
    let guard = started.guard();
    let request = guarding::Request {
        method: &head.method,
        path: head.path.path(),
        headers: &head.headers,
        body: body.as_deref(),
        required: required.as_deref().unwrap_or(NOTHING),
        client: None,
    };
    let verdict = guard.verify_request(request).await;
    Verdict::of(guard, verdict)
}

#[pymethods]
impl Pending {
    /// Calls `callback` with the decision, on a thread of the background.
    fn then(&self, callback: Py<PyAny>) -> PyResult<()> {
        let deciding = self.take()?;
        self.started.background.spawn(async move {
            let verdict = deciding.await;
            // An interpreter that has ended has nobody who waits.
            Python::try_attach(|py| {
                if let Err(error) = callback.call1(py, (verdict,)) {
                    error.write_unraisable(py, None);
                }
            });
        });
        Ok(())
    }

    /// Waits for the decision.
    fn wait(&self, py: Python<'_>) -> PyResult<Verdict> {
        let deciding = self.take()?;
        Ok(py.detach(|| self.started.background.wait(deciding)))
    }
}

impl Pending {
    fn take(&self) -> PyResult<Deciding> {
        let taken = lock(&self.deciding).take();
        taken.ok_or_else(|| PyRuntimeError::new_err("somebody waits for this decision already"))
    }
}
