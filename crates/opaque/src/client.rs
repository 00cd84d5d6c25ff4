//! The client's side. It takes about half a second of Argon2id and 64 MiB for each password.

use countersign_protocol::ports::Random;
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration,
    ClientRegistrationFinishParameters, CredentialResponse, RegistrationResponse,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{Malformed, ServerName, random::Drawn, suite::Suite};

/// 64 secret bytes that only the password and this server together give: the same at each login.
/// The server does not know them.
pub type ExportKey = Zeroizing<[u8; 64]>;

/// A registration between its two messages.
pub struct Registration(ClientRegistration<Suite>);

impl Registration {
    /// Begins to register `password`: the state, and the request for the server.
    ///
    /// # Errors
    /// When the password is longer than 65 535 bytes.
    pub fn begin(password: &[u8], random: &dyn Random) -> Result<(Self, Vec<u8>), Malformed> {
        let begun = ClientRegistration::start(&mut Drawn(random), password);
        let begun = begun.map_err(|_| Malformed("password"))?;
        Ok((Self(begun.state), begun.message.serialize().to_vec()))
    }

    /// The record for the server to keep, and the key that the password opens from now on.
    ///
    /// # Errors
    /// When the server's answer is none.
    pub fn finish(
        self,
        password: &[u8],
        response: &[u8],
        name: ServerName<'_>,
        random: &dyn Random,
    ) -> Result<(Vec<u8>, ExportKey), Malformed> {
        let malformed = |_| Malformed("registration response");
        let response = RegistrationResponse::deserialize(response).map_err(malformed)?;
        let parameters = ClientRegistrationFinishParameters::new(name.identifiers(), None);
        let finished = self.0.finish(&mut Drawn(random), password, response, parameters);
        let finished = finished.map_err(malformed)?;
        let record = finished.message.serialize().to_vec();
        Ok((record, Zeroizing::new(finished.export_key.into())))
    }
}

/// A login between its two messages.
pub struct Login(ClientLogin<Suite>);

impl Login {
    /// Begins to log in by `password`: the state, and the request for the server.
    ///
    /// # Errors
    /// When the password is longer than 65 535 bytes.
    pub fn begin(password: &[u8], random: &dyn Random) -> Result<(Self, Vec<u8>), Malformed> {
        let begun = ClientLogin::start(&mut Drawn(random), password);
        let begun = begun.map_err(|_| Malformed("password"))?;
        Ok((Self(begun.state), begun.message.serialize().to_vec()))
    }

    /// The last message for the server, and the key that the password opens.
    ///
    /// # Errors
    /// When the password is not the one that was registered, or the answer is by another server.
    pub fn finish(
        self,
        password: &[u8],
        response: &[u8],
        name: ServerName<'_>,
        random: &dyn Random,
    ) -> Result<(Vec<u8>, ExportKey), NotOpened> {
        let response = CredentialResponse::deserialize(response);
        let response = response.map_err(|_| NotOpened::Malformed)?;
        let parameters = ClientLoginFinishParameters::new(None, name.identifiers(), None);
        let finished = self.0.finish(&mut Drawn(random), password, response, parameters);
        let finished = finished.map_err(|_| NotOpened::WrongPassword)?;
        let message = finished.message.serialize().to_vec();
        Ok((message, Zeroizing::new(finished.export_key.into())))
    }
}

/// Why the client gets no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotOpened {
    /// The server's answer is none.
    #[error("the server's answer is no OPAQUE login response")]
    Malformed,
    /// The password is wrong, or the server knows nobody of that name: it does not say which.
    #[error("the password is not right, or there is nothing of that name")]
    WrongPassword,
}
