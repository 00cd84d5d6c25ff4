//! The server's part in the passwords of online keyrings: made at the first use, sealed with the master
//! key, and never another one.

use std::sync::Arc;

use countersign_opaque::{Malformed, server::ServerSetup};
use thiserror::Error;

use crate::{
    keys::{
        sealed_secret::{DamagedSecret, SecretKind},
        vault::Vault,
    },
    ports::{Random, StoreError, VaultStore},
};

const KIND: SecretKind = SecretKind::Opaque;

/// Opens the secret of a store, or makes it when the store has none.
pub(super) async fn open(
    store: &(impl VaultStore + ?Sized),
    vault: &Vault,
    random: &dyn Random,
) -> Result<Arc<ServerSetup>, OpenSetupError> {
    if store.opaque_setup().await?.is_none() {
        let made = KIND.seal(&KIND.keys(vault), &ServerSetup::generate(random).reveal(), random);
        store.create_opaque_setup(&made).await?;
    }
    // Another process may have been faster; what the store has is the one.
    let sealed = store.opaque_setup().await?.ok_or(DamagedSecret::Opaque)?;
    let bytes = KIND.open(&KIND.keys(vault), &sealed)?;
    Ok(Arc::new(ServerSetup::from_bytes(&bytes)?))
}

/// Why the server's part is not to be had.
#[derive(Debug, Error)]
pub enum OpenSetupError {
    /// It does not open with the master key.
    #[error(transparent)]
    Damaged(#[from] DamagedSecret),
    /// It opens, and is none.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
