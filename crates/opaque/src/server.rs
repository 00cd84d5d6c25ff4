//! The server's side.

use countersign_protocol::ports::Random;
use opaque_ke::{
    CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload,
    ServerLogin, ServerLoginParameters, ServerRegistration,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{Malformed, ServerName, random::Drawn, suite::Suite};

/// The server's secret: with another one, no password that was registered opens anything.
///
/// Who has it and the records can try passwords offline, at the cost of Argon2id for each. Who has
/// the records alone can try nothing.
pub struct ServerSetup(opaque_ke::ServerSetup<Suite>);

impl ServerSetup {
    /// A fresh one.
    pub fn generate(random: &dyn Random) -> Self {
        Self(opaque_ke::ServerSetup::new(&mut Drawn(random)))
    }

    /// The secret as bytes, to be sealed: 128.
    pub fn reveal(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.serialize().to_vec())
    }

    /// Reads what [`Self::reveal`] gave.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let setup = opaque_ke::ServerSetup::deserialize(bytes);
        setup.map(Self).map_err(|_| Malformed("server setup"))
    }

    /// Answers the request of a client that registers a password. Nothing is kept: the client comes
    /// back with a [`Record`] for the same `user`.
    ///
    /// # Errors
    /// When `request` is none.
    pub fn register(&self, request: &[u8], user: &UserIdentifier) -> Result<Vec<u8>, Malformed> {
        let malformed = |_| Malformed("registration request");
        let request = RegistrationRequest::deserialize(request).map_err(malformed)?;
        let answer = ServerRegistration::start(&self.0, request, &user.0).map_err(malformed)?;
        Ok(answer.message.serialize().to_vec())
    }

    /// Answers the request of a client that claims to know the password of `user`. Without a record
    /// the answer looks as if there were one, takes the same work, and no password finishes it; for one
    /// user it must always be asked with the same identifier.
    ///
    /// # Errors
    /// When the record is damaged.
    pub fn begin_login(
        &self,
        record: Option<Record>,
        LoginRequest(request): LoginRequest,
        user: &UserIdentifier,
        name: ServerName<'_>,
        random: &dyn Random,
    ) -> Result<(Vec<u8>, LoginState), Malformed> {
        let record = record.map(|record| record.0);
        let parameters = parameters(name);
        let mut random = Drawn(random);
        let begun = ServerLogin::start(&mut random, &self.0, record, request, &user.0, parameters);
        let begun = begun.map_err(|_| Malformed("login request"))?;
        Ok((begun.message.serialize().to_vec(), LoginState(begun.state)))
    }
}

/// The first message of a client that claims to know a password.
pub struct LoginRequest(CredentialRequest<Suite>);

impl LoginRequest {
    /// Reads what a client sends: 96 bytes.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let request = CredentialRequest::deserialize(bytes);
        request.map(Self).map_err(|_| Malformed("login request"))
    }
}

/// Whom a password belongs to, as the server names it: 32 bytes that never change for that password
/// and are nobody else's. The client does not learn them.
pub struct UserIdentifier(pub [u8; 32]);

/// What a server keeps of a registered password. Without the [`ServerSetup`] nothing can be guessed
/// from it.
pub struct Record(ServerRegistration<Suite>);

/// The length of a stored record, in bytes.
const RECORD_LEN: usize = 192;

/// The generator of the group (RFC 9496, appendix A.1): the public key of what is read where there is no
/// record.
const GENERATOR: [u8; 32] = [
    0xe2, 0xf2, 0xae, 0x0a, 0x6a, 0xbc, 0x4e, 0x71, 0xa8, 0x84, 0xa9, 0x61, 0xc5, 0x00, 0x51, 0x5f,
    0x58, 0xe3, 0x0b, 0x6a, 0xa5, 0x82, 0xdd, 0x8d, 0xb6, 0xa6, 0x59, 0x45, 0xe0, 0x8d, 0x2d, 0x76,
];

impl Record {
    /// The record of a user, if one is stored. It takes the same work if none is: to read a record is to
    /// see that its public key is in the group, so a generator is read in its place.
    ///
    /// # Errors
    /// When what is stored is something else.
    pub fn of_user(stored: Option<&[u8]>) -> Result<Option<Self>, Malformed> {
        let mut nobodys = [0; RECORD_LEN];
        nobodys[..GENERATOR.len()].copy_from_slice(&GENERATOR);
        let record = Self::from_bytes(stored.unwrap_or(&nobodys))?;
        Ok(stored.map(|_| record))
    }

    /// Reads what a client sends at the end of a registration: 192 bytes.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_upload(bytes: &[u8]) -> Result<Self, Malformed> {
        let upload = RegistrationUpload::deserialize(bytes);
        let upload = upload.map_err(|_| Malformed("registration record"))?;
        Ok(Self(ServerRegistration::finish(upload)))
    }

    /// Reads what [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let record = ServerRegistration::deserialize(bytes);
        record.map(Self).map_err(|_| Malformed("registration record"))
    }

    /// To be stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }
}

/// What a server must remember between the two messages of a login, for one use.
pub struct LoginState(ServerLogin<Suite>);

impl LoginState {
    /// As bytes, which are secret.
    pub fn reveal(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.serialize().to_vec())
    }

    /// Reads what [`Self::reveal`] gave.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        ServerLogin::deserialize(bytes).map(Self).map_err(|_| Malformed("login state"))
    }

    /// Checks the client's last message: whoever made it knows the password.
    ///
    /// # Errors
    /// When it does not, or there was no record.
    pub fn finish(self, finalization: &[u8], name: ServerName<'_>) -> Result<(), WrongPassword> {
        let message = CredentialFinalization::deserialize(finalization);
        let message = message.map_err(|_| WrongPassword)?;
        self.0.finish(message, parameters(name)).map(drop).map_err(|_| WrongPassword)
    }
}

fn parameters(name: ServerName<'_>) -> ServerLoginParameters<'_, '_> {
    ServerLoginParameters { context: None, identifiers: name.identifiers() }
}

/// The client does not know the password, or there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the password is not right")]
pub struct WrongPassword;
