//! Which client a request to an OAuth endpoint is from (RFC 6749 §2.3): one reader for the token
//! endpoint, introspection and revocation.

use axum::extract::{FromRequest, Request};
use countersign_authority::{Caller, CallerAuthentication};
use countersign_protocol::wire;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    http::{
        address::ClientAddress,
        body::OAuthForm,
        oauth_error::{ClientScheme, OAuthError},
    },
    state::App,
};

const JWT_BEARER_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The form of a request to an OAuth endpoint, whose client either says nothing secret about itself
/// (`none`) or presents one assertion (`private_key_jwt`).
///
/// Every other way to authenticate is refused and not ignored: a client that believes to have
/// authenticated itself must not be treated as nobody in particular.
pub(crate) struct ClientForm(OAuthForm);

impl ClientForm {
    /// The parameter `name`.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    /// The parameter `name`, which must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, OAuthError> {
        self.0.required(name)
    }

    /// All `resource` parameters.
    pub(super) fn resources(&self) -> Vec<&str> {
        self.0.resources()
    }

    /// `client_id`.
    pub(super) fn client_id(&self) -> Option<&str> {
        self.get("client_id")
    }

    /// `client_assertion`, whose type has been checked.
    pub(super) fn client_assertion(&self) -> Option<&str> {
        self.get("client_assertion")
    }

    /// The account that the client's assertion speaks for; `None` when it presents none.
    pub(super) async fn caller(
        &self,
        app: &App,
        client: ClientAddress,
    ) -> Result<Option<Caller>, OAuthError> {
        let Some(assertion) = self.client_assertion() else { return Ok(None) };
        let client_id = self.client_id();
        let presented = CallerAuthentication { assertion, client_id, address: client.0 };
        Ok(Some(app.authority.login.authenticate_caller(presented).await?))
    }
}

impl<S: Send + Sync> FromRequest<S> for ClientForm {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        let scheme = authorization_scheme(request.headers());
        let form = OAuthForm::from_request(request, state).await?;
        check_methods(scheme, &form)?;
        Ok(Self(form))
    }
}

fn check_methods(scheme: Option<ClientScheme>, form: &OAuthForm) -> Result<(), OAuthError> {
    let has = |name| form.get(name).is_some();
    let has_assertion = has("client_assertion") || has("client_assertion_type");
    let methods = [scheme.is_some(), has("client_secret"), has_assertion];
    if methods.into_iter().filter(|used| *used).count() > 1 {
        return Err(OAuthError::new("invalid_request")
            .description("the client is authenticated in more than one way; send one of them"));
    }
    if let Some(scheme) = scheme {
        return Err(OAuthError::invalid_client(scheme).description(
            "clients are not authenticated by the Authorization header; send client_assertion \
             (private_key_jwt)",
        ));
    }
    if has("client_secret") {
        return Err(OAuthError::invalid_client(ClientScheme::Bearer).description(
            "there are no client secrets here; send client_assertion (private_key_jwt)",
        ));
    }
    if !has_assertion {
        return Ok(());
    }
    form.required("client_assertion")?;
    if form.required("client_assertion_type")? != JWT_BEARER_ASSERTION {
        return Err(OAuthError::new("invalid_request")
            .description(format!("client_assertion_type must be {JWT_BEARER_ASSERTION}")));
    }
    Ok(())
}

/// The schemes that present a token to a resource, which says nothing about the client of an OAuth
/// endpoint. Some programs add it to whatever they send.
const OF_RESOURCES: [&str; 3] =
    [wire::scheme::BEARER, wire::scheme::DPOP, wire::scheme::SIGNED_MESSAGE];

/// How the client tried to authenticate itself by `Authorization`, if it did.
fn authorization_scheme(headers: &HeaderMap) -> Option<ClientScheme> {
    let fields = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    let mut schemes = fields.map(|field| field.split(|byte| *byte == b' ').next().unwrap_or(field));
    let is_for_resources = |scheme: &&[u8]| {
        OF_RESOURCES.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()))
    };
    let scheme = schemes.find(|scheme| !is_for_resources(scheme))?;
    let is_basic = scheme.eq_ignore_ascii_case(b"Basic");
    Some(if is_basic { ClientScheme::Basic } else { ClientScheme::Bearer })
}
