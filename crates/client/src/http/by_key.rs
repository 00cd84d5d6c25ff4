//! Logging in with a key.

use std::sync::Arc;
use std::time::Duration;

use countersign_protocol::keys::PrivateKey;
use serde::Deserialize;

use super::client::Client;
use super::error::ClientError;
use super::login::Login;
use super::message::Response;
use super::metadata::JWT_BEARER;
use super::renewal::{Renew, Renewal, Renewed};
use super::target::Target;
use super::transport::MAX_API_ANSWER;
use crate::proof::Assertion;
use crate::token::{AccessToken, IssuedToken};

/// Which account logs in, and what the token shall be good for.
#[derive(Clone)]
pub struct LoginRequest<'a> {
    /// The account id or the username.
    pub subject: &'a str,
    /// The scopes to ask for, separated by single spaces.
    pub scope: Option<&'a str>,
    /// The resource server that the token shall be for (RFC 8707 §2), by its own identifier. None
    /// for the server that issues it.
    pub resource: Option<&'a str>,
    /// A key to bind the token to in place of the key that logs in.
    pub session_key: Option<Arc<PrivateKey>>,
}

impl Client {
    /// Logs in with `key`: an access token in exchange for an assertion (RFC 7523) and a DPoP
    /// proof (RFC 9449 §5).
    ///
    /// # Errors
    /// When the server refuses, or issues a token that is not bound to the key.
    pub async fn login(
        &self,
        key: &Arc<PrivateKey>,
        request: &LoginRequest<'_>,
    ) -> Result<Login, ClientError> {
        let issued = self.token_for(key, request).await?;
        let bound_key = Arc::clone(request.session_key.as_ref().unwrap_or(key));
        let login = self.logged_in(bound_key, issued).asked_for(request.resource, request.scope);
        let (subject, scope) = (request.subject.to_owned(), request.scope.map(str::to_owned));
        Ok(login.renewed_by(Renewal::by_key(Arc::clone(key), subject, scope)))
    }

    async fn token_for(
        &self,
        key: &PrivateKey,
        request: &LoginRequest<'_>,
    ) -> Result<IssuedToken, ClientError> {
        let metadata = self.metadata();
        let target = &metadata.token_endpoint;
        let bound_key = request.session_key.as_deref().unwrap_or(key);
        metadata.check_algorithm(bound_key.algorithm().name())?;
        let assertion = Assertion {
            subject: request.subject,
            audience: &metadata.issuer,
            session_key: request.session_key.as_ref().map(|key| key.public_key().thumbprint()),
        };
        let response = self
            .exchange(self.nonces(), target, MAX_API_ANSWER, |attempt| {
                // A fresh one for every attempt: the server may have recorded the first one as
                // used.
                let assertion = assertion.sign(key, attempt.now, attempt.random)?;
                let fields = [("grant_type", JWT_BEARER), ("assertion", &assertion)].into_iter();
                let scope = request.scope.map(|scope| ("scope", scope));
                let resource = request.resource.map(|resource| ("resource", resource));
                let fields = fields.chain(scope).chain(resource);
                attempt.proven(bound_key, target, target.form(fields))
            })
            .await?;
        self.read_token(target, response)
    }

    fn read_token(&self, target: &Target, response: Response) -> Result<IssuedToken, ClientError> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: String,
            token_type: String,
            expires_in: u64,
            scope: Option<String>,
        }

        let answer: Answer = response.into_json(target)?;
        if !answer.token_type.eq_ignore_ascii_case("DPoP") {
            return Err(target.unexpected("the token is not bound to the key"));
        }
        let token = AccessToken::new(answer.access_token).map_err(|e| target.unexpected(e))?;
        let expires_at = self.now() + Duration::from_secs(answer.expires_in);
        Ok(IssuedToken { token, expires_at, scope: answer.scope })
    }
}

impl Renewal {
    /// With `key`, which is the one that the token is bound to unless that is a session key, as the account of the id
    /// or username `subject`, and with the scopes to ask for, separated by single spaces.
    pub fn by_key(key: Arc<PrivateKey>, subject: String, scope: Option<String>) -> Self {
        Self::by(ByKey { key, subject, scope })
    }
}

struct ByKey {
    key: Arc<PrivateKey>,
    subject: String,
    scope: Option<String>,
}

impl Renew for ByKey {
    fn renew<'a>(
        &'a self,
        client: &'a Client,
        bound_to: &'a Arc<PrivateKey>,
        resource: Option<&'a str>,
    ) -> Renewed<'a> {
        let is_own = Arc::ptr_eq(&self.key, bound_to);
        let session_key = (!is_own).then(|| Arc::clone(bound_to));
        let (subject, scope) = (&*self.subject, self.scope.as_deref());
        let request = LoginRequest { subject, scope, resource, session_key };
        Box::pin(async move { client.token_for(&self.key, &request).await })
    }
}
