//! What the server gives a client to bring back, so that nothing is stored in between: sealed, so that
//! it says nothing to the client and cannot be altered.

use countersign_protocol::{
    envelope::aes_gcm::SealingKey,
    ports::{Random, random_bytes},
    strict::base64url,
};
use zeroize::Zeroizing;

/// Each text is sealed with a key of its own, which follows from 16 random bytes at its beginning. So
/// strangers may ask for as many as they like: no key is ever used for two.
const SALT_LEN: usize = 16;
const NONCE: [u8; 12] = [0; 12];

/// What a text is for. It serves nothing else.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// A slot that is offered.
    Ticket,
    /// A login between its two messages.
    Login,
}

impl Purpose {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Ticket => b"slot ticket",
            Self::Login => b"login state",
        }
    }
}

/// Seals and opens them.
pub(super) struct SealedTexts(SealingKey);

impl SealedTexts {
    /// With a key that is used for nothing else.
    pub(super) const fn new(key: SealingKey) -> Self {
        Self(key)
    }

    /// `content` as a text.
    pub(super) fn seal(&self, purpose: Purpose, content: &[u8], random: &dyn Random) -> String {
        let salt: [u8; SALT_LEN] = random_bytes(random);
        let sealed = self.key(&salt).seal(NONCE, purpose.name(), content);
        base64url::encode(&[&salt[..], &sealed].concat())
    }

    /// The content of a text that was made here for `purpose`.
    pub(super) fn open(&self, purpose: Purpose, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let bytes = base64url::decode(text).ok()?;
        let (salt, sealed) = bytes.split_first_chunk::<SALT_LEN>()?;
        self.key(salt).open(NONCE, purpose.name(), sealed).ok()
    }

    fn key(&self, salt: &[u8; SALT_LEN]) -> SealingKey {
        self.0.derive(&base64url::encode(salt))
    }
}

/// The next `N` bytes of `from`.
pub(super) fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*taken)
}
