//! Logins from a browser by another key than its own.

use crate::sql::Connection;
use countersign_authority::{
    model::credential_kind::CredentialKind,
    ports::{BrowserError, NewBrowser, Renewal, SignIn, SignInError, SignedIn},
};
use countersign_protocol::{UnixTime, keys::Thumbprint};

use crate::rules::{
    audit, claims,
    error::DbError,
    live_keys::count_revoked,
    logins::{log_in, renew},
    passkey_records::note_use,
    room_for_browsers::make_room,
    rows::{
        self, Columns,
        credentials::{IS_LIVE, address_bytes, is_taken},
        millis,
    },
};

/// Records the login, and remembers the browser if that is asked for. The browsers that are revoked
/// for it are returned.
pub(super) fn sign_in(
    connection: &Connection,
    SignIn { login, passkey, remember }: &SignIn,
) -> Result<SignedIn, SignInError> {
    let now = login.event.at;
    let (receipt, signer) = log_in(connection, login)?;
    if let Some(used) = passkey {
        note_use(connection, used)?;
    }
    let revoked = match remember {
        Some(browser) => remember_browser(connection, signer.user_id, browser, now)?,
        None => Vec::new(),
    };
    Ok(SignedIn { receipt, scopes: signer.scopes, revoked })
}

fn remember_browser(
    connection: &Connection,
    user_id: i64,
    browser: &NewBrowser,
    now: UnixTime,
) -> Result<Vec<Thumbprint>, SignInError> {
    let NewBrowser { credential, limits, event } = browser;
    let thumbprint = credential.thumbprint();
    match live_kind(connection, user_id, &thumbprint, now)? {
        Some(CredentialKind::Browser) => {
            remember_again(connection, browser, now)?;
            return Ok(Vec::new());
        }
        Some(CredentialKind::Key) => return Ok(Vec::new()),
        Some(CredentialKind::Mutual | CredentialKind::Passkey) => {
            return Err(BrowserError::KeyTaken.into());
        }
        None => {}
    }
    if is_taken(connection, &thumbprint)? {
        return Err(BrowserError::KeyTaken.into());
    }
    if count_revoked(connection, user_id)? >= limits.revoked {
        return Err(BrowserError::TooManyRevoked { limit: limits.revoked }.into());
    }
    let revoked = make_room(connection, user_id, credential, limits.live)?;
    if !claims::insert_proven(connection, user_id, credential, now)? {
        return Err(BrowserError::KeyTaken.into());
    }
    audit::record(connection, event)?;
    Ok(revoked)
}

/// The kind of a live key of the account with that row.
fn live_kind(
    connection: &Connection,
    user_id: i64,
    thumbprint: &Thumbprint,
    now: UnixTime,
) -> Result<Option<CredentialKind>, DbError> {
    let select = format!(
        "SELECT c.kind FROM credentials AS c
         WHERE {IS_LIVE} AND c.thumbprint = ?2 AND c.user_id = ?3"
    );
    let values = (millis(now), thumbprint.as_bytes(), user_id);
    rows::first(connection, &select, values, |row| {
        Columns::new(row, "credentials", 0).parse("kind")
    })
}

fn remember_again(
    connection: &Connection,
    NewBrowser { credential, .. }: &NewBrowser,
    now: UnixTime,
) -> Result<(), DbError> {
    let thumbprint = credential.thumbprint();
    let user_agent = credential.user_agent.clone();
    renew(connection, &thumbprint, &Renewal { expiry: credential.expiry, user_agent })?;
    let update = "UPDATE credentials
        SET last_used_at = ?, last_address = coalesce(?, last_address) WHERE thumbprint = ?";
    let address = credential.last_address.map(address_bytes);
    rows::execute(connection, update, (millis(now), address, thumbprint.as_bytes())).map(drop)
}
