//! An account's own audit trail.

use axum::{
    Extension, Json,
    extract::{Query, State, rejection::QueryRejection},
};
use countersign_authority::{accounts::own_records::OwnEvents, model::audit::RecordedEvent};
use countersign_protocol::{Principal, UnixTime, keys::Thumbprint, wire};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    http::problem::{Problem, ProblemType},
    state::App,
};

const MAX_PAGE: u32 = 200;
const DEFAULT_PAGE: u32 = 50;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Only events with a smaller number: the `next_before` of the page before.
    before: Option<u64>,
    /// Only events about this key, by its thumbprint.
    key: Option<String>,
    /// Only events at this time or later. Seconds since 1970.
    since: Option<u64>,
    /// How many, 1 to 200; 50 when left out.
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct EventsBody {
    /// Newest first.
    events: Vec<EventBody>,
    /// What `before` must be for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_before: Option<u64>,
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
    detail: Option<String>,
    /// How often it happened, where refusals, or uses of a key, that are alike are told together; absent
    /// where once.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    /// When it happened last, likewise. Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_at: Option<u64>,
}

/// Read one's own audit trail, newest first. With `key` or `since`, the newest 10 000 events are looked at.
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
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Json<EventsBody>, Problem> {
    let invalid = |detail: String| Problem::new(ProblemType::InvalidRequest).detail(detail);
    let Query(query) = query.map_err(|rejection| invalid(rejection.body_text()))?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(invalid(format!("limit is 1 to {MAX_PAGE}")));
    }
    let key = query.key.as_deref().map(str::parse::<Thumbprint>).transpose();
    let key = key.map_err(|error| invalid(format!("key: {error}")))?;
    let since = query.since.map(UnixTime::from_secs);
    let which = OwnEvents { before: query.before, key, since };
    let events = app.authority.accounts.own_events(&principal, which, limit).await?;
    let full = events.len() == limit as usize;
    let next_before = events.last().filter(|_| full).map(|last| last.id);
    Ok(Json(EventsBody { events: events.into_iter().map(to_body).collect(), next_before }))
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
        detail: event.detail,
        times: event.repeated.map(|repeated| repeated.times),
        last_at: event.repeated.map(|repeated| repeated.last_at.as_secs()),
    }
}
