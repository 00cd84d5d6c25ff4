//! `countersign admin audit`.

use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr,
    time::Duration,
};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use countersign_authority::{
    accounts::administration::Administration,
    model::{
        account::AccountName,
        audit::{Administrator, AuditEvent, AuditFilter, EventKind, RecordedEvent, Repeated},
    },
};
use countersign_protocol::{AccountId, UnixTime, keys::Thumbprint};
use serde_json::{Value, json};
use thiserror::Error;

use super::{arguments::Limit, database::open, table, words::explain};
use crate::{
    config::Settings,
    database::Database,
    output,
    time::{parse_duration, parse_rfc3339, to_rfc3339, to_rfc3339_millis},
};

#[derive(Args)]
pub(super) struct Options {
    /// Only events about this account
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,

    /// Only events about this key
    #[arg(long, value_name = "THUMBPRINT", allow_hyphen_values = true)]
    key: Option<Thumbprint>,

    /// Only events of this kind; may be given several times
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    event: Vec<EventKind>,

    /// Only events at or after this time, or not older than this: 2026-03-01T09:30:00Z, 7d
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,

    /// Only events before this time, or older than this
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,

    /// Also what the schedule of signing keys does by itself (signing-key.created, -.removed)
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    limit: Limit,

    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(settings: &Settings, options: Options) -> anyhow::Result<()> {
    let database = open(settings)?;
    let administration = Administration::new(&database.ports);
    let now = database.ports.clock.now();
    let account = match &options.account {
        None => None,
        Some(name) => Some(administration.account(name).await.map_err(explain(name))?),
    };
    let filter = AuditFilter {
        account_id: account.map(|account| account.id),
        thumbprint: options.key,
        since: options.since.map(|moment| moment.from(now)),
        until: options.until.map(|moment| moment.from(now)),
        before: None,
        without_schedule: !options.all && options.event.is_empty(),
        kinds: options.event,
    };
    let mut events = administration.events(&filter, options.limit.and_one()).await?;
    let more = options.limit.cut(&mut events);
    events.reverse();
    let names = usernames(&database, &events).await?;
    if more {
        output::remark("there are older ones too: raise --limit, or narrow down what is asked for");
    }
    if !options.json {
        let headings = ["TIME", "EVENT", "ACCOUNT", "ADDRESS", "KEY", "LABEL", "ACTOR", "DETAIL"];
        return table::print(headings, events.iter().map(|event| to_row(event, &names)).collect());
    }
    for event in &events {
        output::json(&to_json(event, &names).to_string())?;
    }
    Ok(())
}

/// A moment, or how long ago it was.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Ago(Duration),
    At(UnixTime),
}

impl Moment {
    fn from(self, now: UnixTime) -> UnixTime {
        match self {
            Self::Ago(age) => now - age,
            Self::At(time) => time,
        }
    }
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let age = parse_duration(text).map(Self::Ago).ok();
        age.or_else(|| parse_rfc3339(text).map(Self::At).ok()).ok_or(InvalidMoment)
    }
}

/// Neither a time nor a duration.
#[derive(Clone, Copy, Debug, Error)]
#[error("a time such as 2026-03-01T09:30:00Z is needed, or how long ago it was, such as 90s or 7d")]
struct InvalidMoment;

fn kinds() -> impl TypedValueParser<Value = EventKind> {
    let names = EventKind::ALL.iter().map(|kind| kind.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

/// The usernames of the accounts in `events` that still exist.
async fn usernames(
    database: &Database,
    events: &[RecordedEvent],
) -> anyhow::Result<HashMap<AccountId, String>> {
    let mut names = HashMap::new();
    for id in events.iter().filter_map(|recorded| recorded.event.account_id) {
        if names.contains_key(&id) {
            continue;
        }
        if let Some(account) = database.ports.store.account(&AccountName::Id(id)).await? {
            names.insert(id, account.username.to_string());
        }
    }
    Ok(names)
}

fn to_row(
    RecordedEvent { event, label, by, .. }: &RecordedEvent,
    names: &HashMap<AccountId, String>,
) -> [String; 8] {
    let nothing = || table::NOTHING.to_owned();
    let name = |id: AccountId| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    [
        to_rfc3339(event.at),
        event.kind.name().to_owned(),
        event.account_id.map_or_else(nothing, name),
        event.address.map_or_else(nothing, |address| address.to_string()),
        event.thumbprint.map_or_else(nothing, |key| key.to_string()),
        label.clone().unwrap_or_else(nothing),
        by.as_ref().map_or_else(nothing, |by| by.name.clone()),
        detail_text(event, by.as_ref()),
    ]
}

/// The words of the event, the reason of an administrator, and how often it happened if more than
/// once.
fn detail_text(event: &AuditEvent, by: Option<&Administrator>) -> String {
    let mut text = event.detail.clone().unwrap_or_default();
    if let Some(reason) = by.and_then(|by| by.reason.as_ref()) {
        text += if text.is_empty() { "because: " } else { "; because: " };
        text += reason;
    }
    if let Some(Repeated { times, last_at }) = event.repeated {
        let gap = if text.is_empty() { "" } else { " " };
        return format!("{text}{gap}({times} times until {})", to_rfc3339(last_at));
    }
    text
}

fn to_json(
    RecordedEvent { id, event, label, by }: &RecordedEvent,
    names: &HashMap<AccountId, String>,
) -> Value {
    json!({
        "id": id,
        "at": to_rfc3339_millis(event.at),
        "event": event.kind.name(),
        "account_id": event.account_id,
        "username": event.account_id.and_then(|id| names.get(&id)),
        "thumbprint": event.thumbprint.map(|key| key.to_string()),
        "label": label,
        "actor": by.as_ref().map(|by| &by.name),
        "reason": by.as_ref().and_then(|by| by.reason.as_ref()),
        "address": event.address,
        "detail": event.detail,
        "facts": event.facts.iter().collect::<BTreeMap<_, _>>(),
        "times": event.times(),
        "last_at": to_rfc3339_millis(event.last_at()),
    })
}
