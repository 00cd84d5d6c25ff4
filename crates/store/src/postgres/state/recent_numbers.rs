//! The numbers that clients asked for lately.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use countersign_authority::ports::{NUMBERS_OF_EACH_CLIENT, RecentNumbers};
use countersign_protocol::{
    AccountId, ClientNetwork, UnixTime,
    challenges::mutual::{LIFETIME, Number},
};
use tokio_postgres::types::ToSql;

use super::{
    away::column,
    engine::Engine,
    link::Link,
    names::{Name, name_of},
};
use crate::rows::millis;

/// How many clients of one network are remembered, and of one account.
const OF_NETWORK: i64 = 256;
const OF_ACCOUNT: i64 = 64;
/// For how long a client counts.
const COUNTS: Duration = LIFETIME;

/// A row of each client. Accounts and networks are hashes.
///
/// *Failure direction.* Who has used up a share, or asks while the database is away, is not remembered, and
/// asks for another challenge. Shares are looked at and not locked: at the same moment a few more may pass.
pub(super) struct PostgresRecentNumbers {
    engine: Arc<Engine>,
}

/// The names of a client, its account and its network.
struct Names {
    client: Name,
    account: Name,
    network: Name,
}

impl PostgresRecentNumbers {
    pub(super) const fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

#[async_trait]
impl RecentNumbers for PostgresRecentNumbers {
    async fn remember(
        &self,
        account: AccountId,
        network: ClientNetwork,
        number: Number,
        now: UnixTime,
    ) {
        let names = Names::of(account, network);
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            let counts_from = millis(now - COUNTS);
            let numbers = i32::try_from(NUMBERS_OF_EACH_CLIENT).unwrap_or(i32::MAX);
            let parameters: [&(dyn ToSql + Sync); 9] = [
                &&names.client[..],
                &&names.account[..],
                &&names.network[..],
                &number.as_str(),
                &millis(now),
                &counts_from,
                &OF_NETWORK,
                &OF_ACCOUNT,
                &numbers,
            ];
            link.client.execute(&link.statements.remember, &parameters).await
        });
        if let Err(away) = asked.await {
            tracing::debug!(%away, "a number is not remembered");
        }
    }

    async fn recent(&self, account: AccountId, network: ClientNetwork) -> Vec<Number> {
        let client = Names::of(account, network).client;
        let asked = self.engine.links.ask(async move |link: Arc<Link>| {
            link.client.query_opt(&link.statements.recent, &[&&client[..]]).await
        });
        let row = asked.await.inspect_err(|away| tracing::debug!(%away, "numbers are not known"));
        let Ok(Some(row)) = row else { return Vec::new() };
        let numbers: Vec<&str> = column(&row, 0).unwrap_or_default();
        numbers.into_iter().filter_map(|number| Number::parse(number.as_bytes())).collect()
    }
}

impl Names {
    fn of(account: AccountId, network: ClientNetwork) -> Self {
        let (account, network) = (account.as_bytes(), network.to_string());
        Self {
            client: name_of(&[b"client\0", account, network.as_bytes()]),
            account: name_of(&[b"account\0", account]),
            network: name_of(&[b"network\0", network.as_bytes()]),
        }
    }
}
