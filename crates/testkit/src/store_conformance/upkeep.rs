//! Rules about the store as a whole.

use super::Backend;
use crate::samples;

/// What another handle wrote is noticed, once; what this one wrote is not a change elsewhere.
pub async fn changes_by_others_are_noticed_once(backend: &impl Backend) {
    let (ours, theirs) = (backend.open().await, backend.open().await);
    // Opening may count as a change.
    ours.changed_elsewhere().await.unwrap();
    assert!(!ours.changed_elsewhere().await.unwrap());

    ours.create(&samples::new_account(1, "alice")).await;
    ours.check().await.unwrap();
    assert!(!ours.changed_elsewhere().await.unwrap());

    theirs.create(&samples::new_account(2, "bob")).await;
    ours.create(&samples::new_account(3, "carol")).await;
    assert!(ours.changed_elsewhere().await.unwrap());
    assert!(!ours.changed_elsewhere().await.unwrap());
    assert!(theirs.changed_elsewhere().await.unwrap());
}

/// A store that works says so.
pub async fn the_check_passes(backend: &impl Backend) {
    let stores = backend.open().await;
    stores.check().await.unwrap();
    stores.check().await.unwrap();
}
