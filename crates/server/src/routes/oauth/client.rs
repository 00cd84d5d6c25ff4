//! Authenticates the client of a request to an OAuth endpoint (RFC 6749 §2.3): one reader for the
//! token endpoint, introspection and revocation.

use axum::extract::{FromRequest, Request};
use countersign_authority::login::assertion::{Caller, CallerAuthentication};
use countersign_protocol::wire;
use http::{HeaderMap, HeaderValue, header};

use crate::{
    http::{
        address::ClientAddress,
        body::{OAuthForm, missing},
        oauth_error::{ClientScheme, OAuthError},
    },
    state::App,
};

const JWT_BEARER_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The form of an endpoint as a type: the one that describes it in the API's description, too.
pub(super) trait EndpointForm: Sized {
    /// Takes what the endpoint knows out of `form`. What is missing is an error only when it is asked
    /// for: what a client says of itself is checked first.
    fn read(form: &mut OAuthForm) -> Self;

    /// What the client says of itself.
    fn client(&self) -> PresentedClient<'_>;
}

/// What a client says of itself.
pub(super) struct PresentedClient<'a> {
    /// `client_id`.
    pub(super) id: &'a Option<String>,
    /// `client_assertion`.
    pub(super) assertion: &'a Option<String>,
    /// `client_assertion_type`.
    pub(super) assertion_type: &'a Option<String>,
}

/// Makes a struct the form of an endpoint: how each of its own parameters is taken out, besides those of
/// the client, which all of them have.
macro_rules! endpoint_form {
    ($form:ident { $($parameter:ident: $take:ident),+ }) => {
        impl $crate::routes::oauth::client::EndpointForm for $form {
            fn read(form: &mut $crate::http::body::OAuthForm) -> Self {
                Self {
                    $($parameter: form.$take(stringify!($parameter)),)+
                    client_id: form.take("client_id"),
                    client_assertion: form.take("client_assertion"),
                    client_assertion_type: form.take("client_assertion_type"),
                }
            }

            fn client(&self) -> $crate::routes::oauth::client::PresentedClient<'_> {
                $crate::routes::oauth::client::PresentedClient {
                    id: &self.client_id,
                    assertion: &self.client_assertion,
                    assertion_type: &self.client_assertion_type,
                }
            }
        }
    };
}
pub(super) use endpoint_form;

/// The form of a request to an OAuth endpoint, whose client either says nothing secret about itself
/// (`none`) or presents one assertion (`private_key_jwt`), which is not looked at yet.
///
/// Every other way to authenticate is refused and not ignored: a client that believes it has
/// authenticated itself must not be treated as anonymous.
pub(crate) struct ClientForm<F>(pub(super) F);

impl<S: Send + Sync, F: EndpointForm> FromRequest<S> for ClientForm<F> {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, OAuthError> {
        let scheme = authorization_scheme(request.headers());
        let mut form = OAuthForm::from_request(request, state).await?;
        let has_secret = form.take("client_secret").is_some();
        let form = F::read(&mut form);
        check_methods(scheme, has_secret, &form.client())?;
        Ok(Self(form))
    }
}

/// A [`ClientForm`] whose client has been authenticated, if it says who it is.
pub(crate) struct ClientAuthorization<F> {
    /// The account that the client's assertion speaks for; `None` when it presents none.
    pub(super) caller: Option<Caller>,
    pub(super) form: F,
}

impl<F: EndpointForm + Send + Sync> FromRequest<App> for ClientAuthorization<F> {
    type Rejection = OAuthError;

    async fn from_request(request: Request, app: &App) -> Result<Self, OAuthError> {
        let address = request.extensions().get::<ClientAddress>().copied();
        let ClientForm(form) = ClientForm::<F>::from_request(request, app).await?;
        let ClientAddress(address) = address
            .ok_or_else(|| OAuthError::internal("no layer has told the client's address"))?;
        let PresentedClient { id, assertion, .. } = form.client();
        let caller = match assertion {
            Some(assertion) => {
                let client_id = id.as_deref();
                let presented = CallerAuthentication { assertion, client_id, address };
                Some(app.authority.login.authenticate_caller(presented).await?)
            }
            None => None,
        };
        Ok(Self { caller, form })
    }
}

fn check_methods(
    scheme: Option<ClientScheme>,
    has_secret: bool,
    client: &PresentedClient<'_>,
) -> Result<(), OAuthError> {
    let has_assertion = client.assertion.is_some() || client.assertion_type.is_some();
    let methods = [scheme.is_some(), has_secret, has_assertion];
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
    if has_secret {
        return Err(OAuthError::invalid_client(ClientScheme::Bearer).description(
            "there are no client secrets here; send client_assertion (private_key_jwt)",
        ));
    }
    match (client.assertion, client.assertion_type) {
        (None, None) => Ok(()),
        (Some(_), Some(kind)) if kind == JWT_BEARER_ASSERTION => Ok(()),
        (Some(_), Some(_)) => Err(OAuthError::new("invalid_request")
            .description(format!("client_assertion_type must be {JWT_BEARER_ASSERTION}"))),
        (None, Some(_)) => Err(missing("client_assertion")),
        (Some(_), None) => Err(missing("client_assertion_type")),
    }
}

/// The schemes that present a token to a resource. They say nothing about the client of an OAuth
/// endpoint, but some programs add them to every request.
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
