//! An account's own audit trail.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use axum::{
    Extension, Json,
    extract::{RawQuery, State},
};
use countersign_authority::{
    accounts::own_records::OwnEvents,
    model::audit::{EventKind, RecordedEvent},
};
use countersign_protocol::{Principal, UnixTime, keys::Thumbprint, wire};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    http::problem::{Problem, ProblemType},
    state::App,
};

const MAX_PAGE: u32 = 200;
const DEFAULT_PAGE: u32 = 50;

#[derive(Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Only events with a smaller number: the `next_before` of the page before.
    before: Option<u64>,
    /// Only events about this key, by its thumbprint.
    #[param(value_type = Option<String>)]
    key: Option<Thumbprint>,
    /// Only events at this time or later. Seconds since 1970.
    since: Option<u64>,
    /// Only events of this kind; may be given several times.
    #[param(value_type = Vec<String>, example = json!(["proof.replayed"]))]
    event: Vec<EventKind>,
    /// How many, 1 to 200; 50 when left out.
    limit: Option<u32>,
}

impl EventsQuery {
    /// Reads the query of a URL. Only `event` may come several times.
    fn read(query: &str) -> Result<Self, String> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "before" => once(&name, &value, &mut read.before)?,
                "key" => once(&name, &value, &mut read.key)?,
                "since" => once(&name, &value, &mut read.since)?,
                "limit" => once(&name, &value, &mut read.limit)?,
                "event" => {
                    let kind = value.parse().map_err(|error| format!("event: {error}"))?;
                    read.event.push(kind);
                }
                _ => return Err(format!("there is no parameter {name:?} here")),
            }
        }
        if read.event.len() > EventKind::ALL.len() {
            return Err("event: one or several, each kind once".to_owned());
        }
        Ok(read)
    }
}

/// Reads a parameter that may come once.
fn once<T>(name: &str, value: &str, place: &mut Option<T>) -> Result<(), String>
where
    T: FromStr<Err: Display>,
{
    let value = value.parse().map_err(|error| format!("{name}: {error}"))?;
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name}: send it once")),
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct EventsBody {
    /// Newest first.
    events: Vec<EventBody>,
    /// What `before` must be for the next page; absent on the last one. A page that is not the last may have
    /// fewer events than `limit`, and none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<u64>,
    /// With `next_before`: when the last event happened that was looked at for this page. Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    looked_back_to: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct EventBody {
    id: u64,
    /// Seconds since 1970.
    at: u64,
    #[schema(example = "login.succeeded")]
    event: &'static str,
    /// The key concerned.
    thumbprint: Option<String>,
    /// What the account calls that key now.
    label: Option<String>,
    /// The administrator who did it; absent where it was no administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// Why, in the administrator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The client's address.
    address: Option<String>,
    /// In English words, for people.
    detail: Option<String>,
    /// The same for programs, by stable names: why (`reason`), which key did it (`by`, a thumbprint), which
    /// passkey allowed it (`allowed_by`) and so on; absent where there is nothing to say.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"by": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}))]
    facts: BTreeMap<&'static str, String>,
    /// How often it happened, where refusals, or uses of a key, that are alike are told together; absent
    /// where once.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    /// When it happened last, likewise. Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<u64>,
}

/// Read one's own audit trail, newest first. For one page at most 10 000 events are looked at: of the kinds
/// asked for, or of all kinds where `login.succeeded` is among them. `next_before` leads to those before.
#[utoipa::path(
    get,
    path = wire::path::EVENTS,
    tag = "account",
    security(("dpop" = [])),
    params(EventsQuery),
    responses(
        (status = 200, body = EventsBody),
        (status = 400, description = "invalid-request"),
        (status = 403, description = "step-up-needed: a JWT without `aud`"),
    )
)]
pub(crate) async fn events(
    State(app): State<App>,
    Extension(principal): Extension<Principal>,
    RawQuery(query): RawQuery,
) -> Result<Json<EventsBody>, Problem> {
    let invalid = |detail: String| Problem::new(ProblemType::InvalidRequest).detail(detail);
    let query = EventsQuery::read(query.as_deref().unwrap_or_default()).map_err(invalid)?;
    let EventsQuery { before, key, since, event, limit } = query;
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(invalid(format!("limit is 1 to {MAX_PAGE}")));
    }
    let since = since.map(UnixTime::from_secs);
    let which = OwnEvents { before, key, since, kinds: event };
    let page = app.authority.accounts.own_events(&principal, which, limit).await?;
    Ok(Json(EventsBody {
        events: page.events.into_iter().map(to_body).collect(),
        next_before: page.older.map(|older| older.before),
        looked_back_to: page.older.map(|older| older.at.as_secs()),
    }))
}

fn to_body(RecordedEvent { id, event, label, by }: RecordedEvent) -> EventBody {
    let (actor, reason) = by.map_or((None, None), |by| (Some(by.name), by.reason));
    EventBody {
        id,
        at: event.at.as_secs(),
        event: event.kind.name(),
        thumbprint: event.thumbprint.map(|thumbprint| thumbprint.to_string()),
        label,
        actor,
        reason,
        address: event.address.map(|address| address.to_string()),
        facts: event.facts.iter().map(|(name, value)| (name, value.to_owned())).collect(),
        detail: event.detail,
        times: event.repeated.map(|repeated| repeated.times),
        last_at: event.repeated.map(|repeated| repeated.last_at.as_secs()),
    }
}
