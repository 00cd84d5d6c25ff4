//! Passwords that the server makes.

use std::net::IpAddr;

use countersign_protocol::{ids::uuid_v4, ports::random_bytes};

use crate::core::{
    Core,
    password_hasher::{Asker, HashError, Secret},
};

impl Core {
    /// A new password, a UUIDv4, and its hash.
    pub(crate) async fn make_password(
        &self,
        address: IpAddr,
    ) -> Result<(Secret, String), HashError> {
        let password = Secret::new(uuid_v4(&*self.ports.random).to_string());
        let salt = random_bytes(&*self.ports.random);
        let hash = self.passwords.hash(password.as_bytes(), salt, self.asker(address)).await?;
        Ok((password, hash))
    }

    /// Who wants a password hashed, from `address`, now.
    pub(crate) fn asker(&self, address: IpAddr) -> Asker {
        Asker { network: address.into(), at: self.ports.clock.monotonic() }
    }
}
