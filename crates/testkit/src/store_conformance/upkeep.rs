//! Rules about the store as a whole.

use super::Backend;

/// A store that works says so.
pub async fn the_check_passes(backend: &impl Backend) {
    let stores = backend.open().await;
    stores.check().await.unwrap();
    stores.check().await.unwrap();
}
