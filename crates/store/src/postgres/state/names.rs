//! Names of rows. They are hashes, which tell nobody who they are of.

use countersign_authority::ports::LimitKey;
use countersign_protocol::digest::sha256;

/// A name: the first 16 bytes of a SHA-256.
pub(super) type Name = [u8; 16];

/// The name of what these parts say together.
pub(super) fn name_of(parts: &[&[u8]]) -> Name {
    let hash = sha256(parts);
    std::array::from_fn(|place| hash[place])
}

/// The name of what `key` has under the limit of that name.
pub(super) fn name_under(limit: &str, key: LimitKey) -> Name {
    let limit = limit.as_bytes();
    match key {
        LimitKey::Network(network) => {
            name_of(&[limit, b"\0network\0", network.to_string().as_bytes()])
        }
        LimitKey::Account(account) => name_of(&[limit, b"\0account\0", account.as_bytes()]),
        LimitKey::Key(key) => name_of(&[limit, b"\0key\0", key.as_bytes()]),
        LimitKey::Name(hash) => name_of(&[limit, b"\0name\0", &hash]),
        LimitKey::NameAt(hash) => name_of(&[limit, b"\0name at\0", &hash]),
    }
}
