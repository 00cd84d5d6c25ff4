//! *gradecoin*: registration by one-time password, sealed for the server. The requests of the
//! account are [self-signed](super::self_signed), each for its body.

use countersign_protocol::{
    envelope::aes_cbc_oaep,
    keys::{KeyPolicy, PrivateKey, PublicKey},
    ports::random_bytes,
    proofs::body_hash,
};
use http::Method;
use serde_json::json;
use zeroize::Zeroizing;

use super::answers::registered_id;
use crate::{
    http::{client::Client, error::ClientError, login::WhoAmI, message::Message},
    password::Password,
};

/// The address of an account whose first key is `key`, registered by this client in the *gradecoin*
/// dialect: SHA-256 of the key's PEM, in lower-case hexadecimal digits.
pub fn gradecoin_fingerprint(key: &PublicKey) -> String {
    body_hash::sha256_hex(key.to_spki_pem().as_bytes())
}

impl Client {
    /// Makes an account in the *gradecoin* dialect whose requests `key` signs. Returns the
    /// account's id, which the server tells only in the answer to the first signed request.
    ///
    /// Name and password are sealed for the key that the server publishes. Only the TLS connection
    /// proves that the key is the server's.
    ///
    /// # Errors
    /// When the server refuses, for instance because name and password are not those of an
    /// invitation; [`ClientError::UnexpectedAnswer`] when its own key is of no use, or when it has
    /// registered the key and does not take it.
    pub async fn register_gradecoin(
        &self,
        key: &PrivateKey,
        student_id: &str,
        one_time_password: &Password,
    ) -> Result<String, ClientError> {
        let recipient = self.gradecoin_key().await?;
        let target = self.metadata().api("/register")?;
        let text = json!({
            "student_id": student_id,
            "passwd": one_time_password.expose(),
            "public_key": key.public_key().to_spki_pem(),
        });
        let text = Zeroizing::new(text.to_string());
        let random = self.random();
        let (fresh, iv) = (random_bytes(random), random_bytes(random));
        let sealed = aes_cbc_oaep::seal(&recipient, text.as_bytes(), fresh, iv)
            .map_err(|error| target.unexpected(error))?;
        let members =
            [("c", sealed.ciphertext.into()), ("iv", sealed.iv.into()), ("key", sealed.key.into())];
        let answer = self.ask(&target, Message::json(Method::POST, members)).await?;
        answer.into_success(&target)?;
        registered_id(&target, self.whoami_gradecoin(key, student_id).await)
    }

    /// Asks the server which account it sees behind a request that `key` signs in the *gradecoin*
    /// dialect. `account` is the id or the username.
    ///
    /// # Errors
    /// When the server refuses, as it does when it does not speak the dialect.
    pub async fn whoami_gradecoin(
        &self,
        key: &PrivateKey,
        account: &str,
    ) -> Result<WhoAmI, ClientError> {
        // The dialect demands a hash even for an empty body.
        self.whoami_self_signed(&self.self_signed(key, account, None, Some(b""))?).await
    }

    /// The key that the server opens sealed registrations with.
    async fn gradecoin_key(&self) -> Result<PublicKey, ClientError> {
        let target = self.metadata().api("/gradecoin.pub")?;
        let answer = self.ask(&target, Message::get()).await?.into_success(&target)?;
        let text =
            String::from_utf8(answer.body).map_err(|_| target.unexpected("the key is not PEM"))?;
        PublicKey::parse(&text, &KeyPolicy::default()).map_err(|error| target.unexpected(error))
    }
}
