//! The JSON object in which other programs keep a login whose server proves itself too:
//!
//! ```json
//! {"url":"","username":"","clientSidePublicKey":"","clientSidePrivateKey":"",
//!  "serverSidePublicKey":"","jwtToken":""}
//! ```
//!
//! Keys are base64 of DER: `PrivateKeyInfo` (RFC 5958) for the private key, `SubjectPublicKeyInfo`
//! for the others. `jwtToken` is empty where there is no token.

use anyhow::{Context as _, ensure};
use countersign_client::{
    AccessToken, SavedToken,
    keyring::{Entry, EntryName},
};
use countersign_protocol::{
    UnixTime,
    keys::{KeyPolicy, PrivateKey, PublicKey},
    names::AccountName,
    proofs::target_uri::TargetUri,
    strict::{base64, base64url, json},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

/// The greatest size of the object as text, in bytes: two keys, one token and some room.
const MAX_BYTES: usize = 64 * 1024;

/// The member that no other format of a private key has.
const MARK: &[u8] = b"\"clientSidePrivateKey\"";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Members {
    url: String,
    username: String,
    client_side_public_key: String,
    client_side_private_key: Zeroizing<String>,
    server_side_public_key: String,
    jwt_token: Zeroizing<String>,
}

/// Whether the content of a file is such an object and not a key alone.
pub(super) fn is_one(content: &[u8]) -> bool {
    content.trim_ascii_start().starts_with(b"{")
        && content.windows(MARK.len()).any(|window| window == MARK)
}

/// Writes the object of `entry`, which must have a key of the server.
pub(super) fn write(entry: &Entry) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let policy = KeyPolicy::default();
    let server_key = entry.server_side_public_key(&policy)?.with_context(|| {
        format!(
            "the entry {} has no key of the server, so there is no such object of it; \
             --reveal-private-key without --json prints its private key",
            entry.name()
        )
    })?;
    let key = entry.private_key(&policy)?;
    let token = entry.token().map(|saved| Zeroizing::new(saved.token.expose().to_owned()));
    let members = Members {
        url: entry.url().to_owned(),
        username: entry.username().to_owned(),
        client_side_public_key: base64::encode(&key.public_key().to_spki_der()),
        client_side_private_key: base64::encode(&key.to_pkcs8_der()).into(),
        server_side_public_key: base64::encode(&server_key.to_spki_der()),
        jwt_token: token.unwrap_or_default(),
    };
    // As large as it can become: a buffer that grows leaves copies of the key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    serde_json::to_writer_pretty(&mut *text, &members)?;
    text.push(b'\n');
    Ok(text)
}

/// Reads an object as the entry `name`. All six members must be there, and no others.
pub(super) fn read(content: &[u8], name: EntryName, now: UnixTime) -> anyhow::Result<Entry> {
    // The cause may quote a value, and one of them is a private key: only its place is told.
    let members: Members = serde_json::from_slice(content).map_err(|cause| {
        anyhow::anyhow!(
            "it is not an object of the six texts url, username, clientSidePublicKey, \
             clientSidePrivateKey, serverSidePublicKey and jwtToken: see line {}, column {}",
            cause.line(),
            cause.column()
        )
    })?;
    TargetUri::parse(&members.url)
        .with_context(|| format!("its url {:?} is no address of a server", members.url))?;
    members.username.parse::<AccountName>().context("its username is of no use")?;
    let key = read_key_pair(&members)?;
    let server_key = read_public(&members.server_side_public_key)
        .context("its serverSidePublicKey is of no use")?;
    let mut entry = Entry::new(name, &members.url, &members.username, &key, now);
    entry.set_server_side_public_key(&server_key);
    if !members.jwt_token.is_empty() {
        let token = read_token(&members.jwt_token, &key).context("its jwtToken is of no use")?;
        entry.set_token(&token);
    }
    Ok(entry)
}

fn read_key_pair(members: &Members) -> anyhow::Result<PrivateKey> {
    let der = base64::decode(&members.client_side_private_key).map(Zeroizing::new);
    let der = der.context("its clientSidePrivateKey is of no use")?;
    let key = PrivateKey::from_pkcs8_der(&der, &KeyPolicy::default())
        .context("its clientSidePrivateKey is of no use")?;
    let public = read_public(&members.client_side_public_key)
        .context("its clientSidePublicKey is of no use")?;
    ensure!(
        public.thumbprint() == key.public_key().thumbprint(),
        "its clientSidePublicKey and its clientSidePrivateKey are not two halves of one pair"
    );
    Ok(key)
}

fn read_public(text: &str) -> anyhow::Result<PublicKey> {
    Ok(PublicKey::from_spki_der(&base64::decode(text)?, &KeyPolicy::default())?)
}

/// Servers verify the token. Here it only must be one that `key` can use.
fn read_token(text: &str, key: &PrivateKey) -> anyhow::Result<SavedToken> {
    let payload = text.split('.').nth(1).context("it is not a JWT")?;
    let claims = json::parse_object(&base64url::decode(payload)?)?;
    let bound_to = claims.get("cnf").and_then(|cnf| cnf.get("jkt")).and_then(Value::as_str);
    let thumbprint = key.public_key().thumbprint().to_string();
    ensure!(bound_to == Some(&thumbprint), "it is not bound to the key beside it");
    let expires_at = claims.get("exp").and_then(Value::as_u64).context("it has no end (exp)")?;
    Ok(SavedToken {
        token: AccessToken::new(text.to_owned())?,
        expires_at: UnixTime::from_secs(expires_at),
        nonces: Vec::new(),
        resource: None,
        scope: None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use countersign_protocol::keys::NewKey;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(2_000_000_000);

    fn name() -> EntryName {
        "toto".parse().unwrap()
    }

    fn token_for(key: &PrivateKey) -> String {
        let claims =
            format!(r#"{{"exp":2000000900,"cnf":{{"jkt":"{}"}}}}"#, key.public_key().thumbprint());
        format!("eyJhbGciOiJFUzI1NiJ9.{}.c2ln", base64url::encode(claims.as_bytes()))
    }

    /// An entry as a registration and a login leave it, and the object of it.
    fn object() -> (Entry, Value) {
        let key = PrivateKey::generate(NewKey::EcP256).unwrap();
        let server = PrivateKey::generate(NewKey::Rsa2048).unwrap();
        let mut entry = Entry::new(name(), "https://auth.example", "toto", &key, NOW);
        entry.set_server_side_public_key(server.public_key());
        entry.set_token(&read_token(&token_for(&key), &key).unwrap());
        let written = serde_json::from_slice(&write(&entry).unwrap()).unwrap();
        (entry, written)
    }

    fn refusal(object: &Value) -> String {
        let error = read(object.to_string().as_bytes(), name(), NOW).err().unwrap();
        format!("{error:#}")
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (entry, object) = object();
        let six = BTreeSet::from([
            "clientSidePrivateKey",
            "clientSidePublicKey",
            "jwtToken",
            "serverSidePublicKey",
            "url",
            "username",
        ]);
        assert_eq!(
            object.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>(),
            six
        );
        let text = write(&entry).unwrap();
        assert!(is_one(&text));
        let again = read(&text, name(), NOW).unwrap();
        assert_eq!(write(&again).unwrap(), text);
        assert_eq!(again.token().unwrap().expires_at, UnixTime::from_secs(2_000_000_900));
    }

    #[test]
    fn an_entry_without_a_token_has_an_empty_one() {
        let (mut entry, _) = object();
        entry.forget_tokens();
        let text = write(&entry).unwrap();
        assert!(text.windows(14).any(|window| window == br#""jwtToken": """#));
        assert!(read(&text, name(), NOW).unwrap().token().is_none());
    }

    #[test]
    fn an_object_that_lacks_a_member_or_has_another_is_refused() {
        let (_, whole) = object();
        for member in whole.as_object().unwrap().keys() {
            let mut lacking = whole.clone();
            lacking.as_object_mut().unwrap().remove(member);
            assert!(refusal(&lacking).contains("six texts"), "{member}");
            let mut other = whole.clone();
            other[member] = 1.into();
            assert!(refusal(&other).contains("six texts"), "{member}");
        }
        let mut more = whole.clone();
        more["serverSidePrivateKey"] = "".into();
        assert!(refusal(&more).contains("six texts"));
        let twice = whole.to_string().replacen('{', r#"{"url":"https://other.example","#, 1);
        assert!(read(twice.as_bytes(), name(), NOW).is_err());
    }

    #[test]
    fn keys_and_token_must_belong_together() {
        let (_, whole) = object();
        let with = |member: &str, value: &str| {
            let mut object = whole.clone();
            object[member] = value.into();
            refusal(&object)
        };
        let other = PrivateKey::generate(NewKey::EcP256).unwrap();
        let public = base64::encode(&other.public_key().to_spki_der());
        assert!(with("clientSidePublicKey", &public).contains("two halves"));
        assert!(with("jwtToken", &token_for(&other)).contains("not bound to the key"));
        assert!(with("jwtToken", "abc").contains("not a JWT"));
        assert!(with("url", "auth.example").contains("no address"));
        assert!(with("username", "").contains("username is of no use"));
        assert!(with("serverSidePublicKey", "").contains("serverSidePublicKey is of no use"));
    }

    #[test]
    fn no_refusal_quotes_the_private_key() {
        let (_, whole) = object();
        let secret = whole["clientSidePrivateKey"].as_str().unwrap();
        let mut object = whole.clone();
        object["clientSidePrivateKey"] = serde_json::json!({ "key": secret });
        assert!(!refusal(&object).contains(secret));
        object["clientSidePrivateKey"] = secret[1..].into();
        assert!(!refusal(&object).contains(&secret[1..]));
    }
}
