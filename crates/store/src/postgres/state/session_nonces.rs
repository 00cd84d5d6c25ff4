//! The nonces of sessions.

use std::sync::Arc;

use async_trait::async_trait;
use countersign_authority::ports::{
    PutNonceError, SessionId, SessionNonce, SessionNonces, StoreError,
};
use countersign_protocol::{ClientNetwork, UnixTime, replay::EpochId};
use tokio_postgres::types::ToSql;

use super::{
    away::{Away, column},
    engine::Engine,
    link::Link,
    names::name_of,
    options::StateOptions,
};
use crate::rows::millis;

/// The one nonce that each session may use next, as a row. A client network is a hash.
///
/// *Failure direction.* A client network beyond its share gets no new session until one of its own has ended.
/// When there are too many sessions all the same, those lose their nonce that would expire first.
pub(super) struct PostgresSessionNonces {
    engine: Arc<Engine>,
    share: i64,
}

impl PostgresSessionNonces {
    pub(super) fn new(engine: Arc<Engine>, options: &StateOptions) -> Self {
        Self { engine, share: i64::try_from(options.sessions_share).unwrap_or(i64::MAX) }
    }
}

#[async_trait]
impl SessionNonces for PostgresSessionNonces {
    async fn put(
        &self,
        session: &SessionId,
        nonce: SessionNonce,
        owner: ClientNetwork,
        now: UnixTime,
    ) -> Result<(), PutNonceError> {
        let (session, share) = (*session, self.share);
        let owner = name_of(&[b"session\0", owner.to_string().as_bytes()]);
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            let parameters: [&(dyn ToSql + Sync); 6] = [
                &&session.as_bytes()[..],
                &&nonce.value[..],
                &millis(nonce.expires_at),
                &&owner[..],
                &millis(now),
                &share,
            ];
            link.client.query_one(&link.statements.put, &parameters).await
        });
        let row = asked.await.map_err(StoreError::from)?;
        let is_put = column(&row, 0).map_err(StoreError::from)?;
        if is_put { Ok(()) } else { Err(PutNonceError::ShareUsedUp) }
    }

    async fn outstanding(
        &self,
        session: &SessionId,
        now: UnixTime,
    ) -> Result<Option<SessionNonce>, StoreError> {
        let session = *session;
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            let parameters: [&(dyn ToSql + Sync); 2] = [&&session.as_bytes()[..], &millis(now)];
            link.client.query_opt(&link.statements.outstanding, &parameters).await
        });
        let Some(row) = asked.await? else { return Ok(None) };
        let (value, expires_at): (&[u8], i64) = (column(&row, 0)?, column(&row, 1)?);
        let value = value.try_into().map_err(|_| Away::Damaged)?;
        let expires_at = u64::try_from(expires_at).map_err(|_| Away::Damaged)?;
        Ok(Some(SessionNonce { value, expires_at: UnixTime::from_millis(expires_at) }))
    }

    async fn exchange(
        &self,
        session: &SessionId,
        (used, next): (&SessionNonce, Option<SessionNonce>),
        epoch: EpochId,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (session, used) = (*session, *used);
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            let (session, used_value, epoch) =
                (&session.as_bytes()[..], &used.value[..], &epoch.as_bytes()[..]);
            let (expires_at, now) = (millis(used.expires_at), millis(now));
            let same: [&(dyn ToSql + Sync); 5] = [&session, &used_value, &expires_at, &now, &epoch];
            let Some(next) = next else {
                return link.client.execute(&link.statements.end, &same).await;
            };
            let (value, expires_at) = (&next.value[..], millis(next.expires_at));
            let both = [&same[..], &[&value, &expires_at]].concat();
            link.client.execute(&link.statements.exchange, &both).await
        });
        Ok(asked.await? > 0)
    }
}
