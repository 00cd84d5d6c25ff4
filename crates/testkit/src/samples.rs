//! Sample data. A number tells samples of one kind apart; what it does not decide is always alike.

use std::{net::IpAddr, time::Duration};

use countersign_authority::{
    model::{
        account::Username,
        audit::{AuditEvent, EventKind},
        credential::Credential,
        credential_kind::CredentialKind,
        invitation::{CodeHash, Invitation, Purpose},
        key_life::{KeyLife, SealedSigningKey, Signs},
        passkey::Passkey,
    },
    ports::{KeyLimits, LoginRecord, NewAccount, NewPasskey, RevokedToken, VaultRecord},
};
use countersign_protocol::{
    AccountId, ReplayEntry, Scopes, UnixTime,
    challenges::passkeys::AccountHandle,
    keys::{Algorithm, PublicKey, Thumbprint},
    proofs::webauthn::{Aaguid, CredentialId},
    replay::{EpochId, LogEpoch},
};

use crate::keys;

/// The present of the samples: 2023-11-14T22:13:20Z.
pub const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

/// The epoch of replay logs.
pub const EPOCH: LogEpoch =
    LogEpoch { id: EpochId::from_bytes([0xe0; 16]), since: UnixTime::EPOCH };

/// The account id of that number.
pub fn account_id(number: u64) -> AccountId {
    let bytes = (0x018b_cfe5_6800_7000_8000_0000_0000_0000 | u128::from(number)).to_be_bytes();
    AccountId::from_bytes(bytes)
}

/// A username from a text that is one.
pub fn username(text: &str) -> Username {
    text.parse().unwrap()
}

/// Scopes from a text that names some.
pub fn scopes(text: &str) -> Scopes {
    text.parse().unwrap()
}

/// A live credential of `account_id` with `public_key`, made at [`NOW`].
pub fn credential(account_id: AccountId, public_key: PublicKey) -> Credential {
    Credential::new(account_id, public_key, "laptop".parse().unwrap(), NOW)
}

/// More keys than a test has.
pub const KEY_LIMITS: KeyLimits = KeyLimits { live: 100, revoked: 1_000, password_token_of: None };

/// Account `number`, called `name`, without scopes or invitation, with the key [`keys::ed25519`] of
/// its number.
pub fn new_account(number: u64, name: &str) -> NewAccount {
    let id = account_id(number);
    let credential = credential(id, keys::ed25519_public(number));
    NewAccount {
        id,
        username: username(name),
        scopes: Scopes::none(),
        event: event(EventKind::AccountRegistered).account(id).key(credential.thumbprint()),
        credential,
        invitation: None,
        passkey: None,
        alias: None,
        server_key: None,
    }
}

/// An event at [`NOW`] without particulars.
pub fn event(kind: EventKind) -> AuditEvent {
    AuditEvent::new(NOW, kind)
}

/// A client's address.
pub fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// Invitation `number`: open to any name, without scopes, made at [`NOW`], for one day.
pub fn invitation(number: u8) -> Invitation {
    Invitation {
        code_hash: CodeHash([number; 32]),
        purpose: Purpose::Register,
        username: None,
        scopes: Scopes::none(),
        created_at: NOW,
        expires_at: NOW + Duration::from_hours(24),
        used_at: None,
    }
}

/// A revoked token of the first account, issued at [`NOW`].
pub fn revoked_token(token_id: &str, expires_at: UnixTime) -> RevokedToken {
    let token_id = token_id.to_owned();
    RevokedToken { token_id, account_id: account_id(1), issued_at: NOW, expires_at }
}

/// The use number `number` of something that is refused for its age from five minutes on.
pub fn replay_entry(number: u64) -> ReplayEntry {
    let mut digest = [0xa5; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    ReplayEntry { digest, forget_at: NOW + Duration::from_mins(5) }
}

/// A login of the account `new` with its first key, one minute after [`NOW`], with the assertion
/// [`replay_entry`] of that number.
pub fn login(new: &NewAccount, assertion: u64) -> LoginRecord {
    let thumbprint = new.credential.thumbprint();
    let at = NOW + Duration::from_mins(1);
    LoginRecord {
        account_id: new.id,
        thumbprint,
        assertion: replay_entry(assertion),
        event: AuditEvent::new(at, EventKind::LoginSucceeded)
            .account(new.id)
            .key(thumbprint)
            .from(address(1)),
        renewal: None,
    }
}

/// Signing key `number`: active from as many days after [`NOW`], for 30 days, sealed with nothing. The
/// odd ones sign access tokens, the even ones tokens of passwords.
pub fn signing_key(number: u8) -> SealedSigningKey {
    let day = Duration::from_hours(24);
    let active_from = NOW + day * u32::from(number);
    SealedSigningKey {
        kid: keys::ed25519_public(u64::from(number) + (1 << 32)).thumbprint(),
        signs: if number % 2 == 1 { Signs::AccessTokens } else { Signs::PasswordTokens },
        algorithm: Algorithm::EdDsa,
        life: KeyLife {
            created_at: NOW,
            active_from,
            retired_from: active_from + day * 30,
            expires_at: active_from + day * 31,
        },
        ciphertext: vec![number; 64],
        nonce: [number; 12],
    }
}

/// The record of vault `number`.
pub fn vault_record(number: u8) -> VaultRecord {
    VaultRecord { salt: [number; 16], nonce: [number; 12], sealed_roots: vec![number; 48] }
}

/// What is known of passkey `number` besides its key: a synced one, for `auth.example`.
pub fn passkey(number: u8) -> Passkey {
    Passkey {
        id: CredentialId::try_from(&[number; 16][..]).unwrap(),
        rp_id: "auth.example".parse().unwrap(),
        user_handle: AccountHandle::from_bytes([number; 32]),
        sign_count: 0,
        backup_eligible: true,
        backed_up: false,
        aaguid: Aaguid::from_bytes([number; 16]),
        transports: vec!["hybrid".parse().unwrap(), "internal".parse().unwrap()],
        unvouched_since: Some(NOW),
    }
}

/// Passkey `number` of `account_id`, with the key [`keys::ed25519`] of its number and 200, made with the
/// challenge [`replay_entry`] of its number and 200.
pub fn new_passkey(account_id: AccountId, number: u8, added_by: Option<Thumbprint>) -> NewPasskey {
    let key = keys::ed25519_public(200 + u64::from(number)).of_passkey();
    let credential =
        Credential { kind: CredentialKind::Passkey, added_by, ..credential(account_id, key) };
    NewPasskey {
        event: event(EventKind::KeyAdded).account(account_id).key(credential.thumbprint()),
        credential,
        passkey: passkey(number),
        challenge: replay_entry(200 + u64::from(number)),
    }
}
