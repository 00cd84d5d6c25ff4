//! Rules about revoked tokens.

use std::time::Duration;

use countersign_authority::audit::EventKind;

use super::Backend;
use crate::samples::{self, NOW};

/// A revocation is there after reopening, until the token would have ended by itself.
pub async fn a_revocation_is_known_until_the_token_ends(backend: &impl Backend) {
    let stores = backend.open().await;
    let end = NOW + Duration::from_mins(1);
    let event = samples::event(EventKind::TokenRevoked);
    stores.revocations.revoke_token("token-1", end, event.clone()).await.unwrap();
    drop(stores);

    let stores = backend.open().await;
    let revoked = [("token-1".to_owned(), end)];
    assert_eq!(stores.revocations.revoked_tokens(NOW).await.unwrap(), revoked);
    let just_before = end - Duration::from_millis(1);
    assert_eq!(stores.revocations.revoked_tokens(just_before).await.unwrap(), revoked);
    assert!(stores.revocations.revoked_tokens(end).await.unwrap().is_empty());
    assert_eq!(stores.trail().await[0].event, event);
}

/// A second revocation succeeds; nothing changed, so it is not recorded.
pub async fn revoking_twice_changes_nothing(backend: &impl Backend) {
    let stores = backend.open().await;
    let end = NOW + Duration::from_mins(1);
    for _ in 0..2 {
        let event = samples::event(EventKind::TokenRevoked);
        stores.revocations.revoke_token("token-1", end, event).await.unwrap();
    }
    assert_eq!(stores.revocations.revoked_tokens(NOW).await.unwrap().len(), 1);
    assert_eq!(stores.trail().await.len(), 1);
}
