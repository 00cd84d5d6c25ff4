//! Mutual challenge and response: the server proves itself with a number that it signs, and the
//! client proves itself by signing that number in turn.
//!
//! Both sides sign in the raw form of [`raw_rsa`], so that each recovers the number from what the
//! other sent. A client may also send an ordinary signature of the number's text.

use std::time::Duration;

use crate::{
    AccountId, ReplayEntry, UnixTime, Unspent,
    digest::sha256,
    envelope::aes_gcm::SealingKey,
    keys::{Algorithm, KeyType, PublicKey, raw_rsa},
    replay::EpochId,
};

/// Decimal digits of a number. It fits into a raw block of an RSA key of 512 bits.
pub const DIGITS: usize = 52;
/// For how long the server accepts a number after making it.
pub const LIFETIME: Duration = Duration::from_mins(1);
/// How far the clock of the node that has made a number may be ahead of another's that recognises it.
const AHEAD: Duration = Duration::from_secs(5);

/// The part of the time that a number carries: milliseconds, modulo 65 536. That is enough to tell
/// when it was made, because no number lives that long.
const TIME: usize = 2;
const SALT: usize = 3;
/// How many bytes an ECDSA signature in DER has at most beyond the two numbers (RFC 3279 §2.2.3).
const DER_MORE: usize = 9;
const TAG: usize = 16;
const LENGTH: usize = TIME + SALT + TAG;

/// Makes and recognises numbers. It keeps no state: a number carries its time and its seal.
pub struct MutualChallenges {
    key: SealingKey,
}

impl MutualChallenges {
    /// With a key that is used for nothing else.
    pub const fn new(key: SealingKey) -> Self {
        Self { key }
    }

    /// A number of `epoch` for `account`, made at `now`: [`DIGITS`] digits, the first of which is never 0,
    /// so that it is the same whether it is read as a text or as a number. 128 of its bits depend
    /// on the key. `salt` is random; it makes two numbers of one moment differ.
    pub fn issue(
        &self,
        account: AccountId,
        salt: [u8; SALT],
        epoch: EpochId,
        now: UnixTime,
    ) -> Number {
        let [.., high, low] = now.as_millis().to_be_bytes();
        let mut bytes = [0; LENGTH];
        bytes[..TIME].copy_from_slice(&[high, low]);
        bytes[TIME..TIME + SALT].copy_from_slice(&salt);
        bytes[TIME + SALT..].copy_from_slice(&self.tag(account, salt, epoch, now));
        Number::write(bytes)
    }

    /// Whether `number` was made here in `epoch` for `account` and may still come back at `now`; it is
    /// good for one use.
    pub fn recognise(
        &self,
        number: &Number,
        account: AccountId,
        epoch: EpochId,
        now: UnixTime,
    ) -> Option<Unspent<Number>> {
        let bytes = number.read()?;
        let (time, rest) = bytes.split_first_chunk::<TIME>()?;
        let (salt, tag) = rest.split_first_chunk::<SALT>()?;
        let [.., high, low] = now.as_millis().to_be_bytes();
        let age = u16::from_be_bytes([high, low]).wrapping_sub(u16::from_be_bytes(*time));
        let ahead = Duration::from_millis(age.wrapping_neg().into());
        let (age, made) = if ahead <= AHEAD {
            (Duration::ZERO, now + ahead)
        } else {
            let age = Duration::from_millis(age.into());
            (age, now - age)
        };
        let genuine =
            subtle::ConstantTimeEq::ct_eq(&self.tag(account, *salt, epoch, made)[..], tag);
        if !bool::from(genuine) || age >= LIFETIME {
            return None;
        }
        let digest = sha256(&[b"countersign mutual challenge\0", &account.as_bytes()[..], &bytes]);
        let entry = ReplayEntry { digest, forget_at: made + LIFETIME };
        Some(Unspent::new(number.clone(), entry))
    }

    fn tag(
        &self,
        account: AccountId,
        salt: [u8; SALT],
        epoch: EpochId,
        made: UnixTime,
    ) -> [u8; TAG] {
        let time = made.as_millis().to_be_bytes();
        let mac = self.key.mac(&[&account.as_bytes()[..], &salt, epoch.as_bytes(), &time]);
        std::array::from_fn(|place| mac[place])
    }
}

/// A decimal number of [`DIGITS`] digits that begins with 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// Reads the text of a number; `None` when it cannot be one.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let fits = text.len() == DIGITS
            && text.first() == Some(&b'1')
            && text.iter().all(u8::is_ascii_digit);
        fits.then(|| Self(text.iter().copied().map(char::from).collect()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// 10⁵¹ + `bytes` read as a big-endian integer, which is below 10⁵¹.
    fn write(mut bytes: [u8; LENGTH]) -> Self {
        let mut digits = [b'0'; DIGITS];
        for digit in digits.iter_mut().skip(1).rev() {
            *digit += divide_by_ten(&mut bytes);
        }
        digits[0] = b'1';
        Self(digits.map(char::from).iter().collect())
    }

    /// The inverse of [`Number::write`]; `None` when it does not fit.
    fn read(&self) -> Option<[u8; LENGTH]> {
        let mut bytes = [0; LENGTH];
        for digit in self.0.bytes().skip(1) {
            let mut carry = u32::from(digit - b'0');
            for byte in bytes.iter_mut().rev() {
                let value = u32::from(*byte) * 10 + carry;
                *byte = value.to_be_bytes()[3];
                carry = value >> 8;
            }
            if carry > 0 {
                return None;
            }
        }
        Some(bytes)
    }
}

/// Divides a big-endian integer by ten and returns the remainder.
fn divide_by_ten(bytes: &mut [u8]) -> u8 {
    let mut remainder = 0_u16;
    for byte in bytes {
        let value = remainder << 8 | u16::from(*byte);
        // A remainder below ten makes a quotient below 256.
        *byte = (value / 10).to_be_bytes()[1];
        remainder = value % 10;
    }
    remainder.to_be_bytes()[1]
}

/// What a client sends back, not verified.
#[derive(Clone, Copy)]
pub struct Proposal<'a>(&'a [u8]);

impl<'a> Proposal<'a> {
    /// From the bytes that the client sent.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether it has the length of what `key` makes, so that it is worth comparing.
    pub fn may_be_by(self, key: &PublicKey) -> bool {
        let length = key.signature_length();
        let is_der = || matches!(self.0, [0x30, ..]) && self.0.len() <= length + DER_MORE;
        match key.key_type() {
            KeyType::Rsa | KeyType::Ed25519 => self.0.len() == length,
            KeyType::EcP256 | KeyType::EcP384 => self.0.len() == length || is_der(),
        }
    }

    /// How many verifications [`Self::signs`] needs to compare it with one number.
    pub fn forms(key: &PublicKey) -> u32 {
        if key.key_type() == KeyType::Rsa { 3 } else { 1 }
    }

    /// The number that it holds in the raw form under the private half of `key`, if it does.
    /// [`MutualChallenges::recognise`] says whether the server made that number.
    pub fn recover(self, key: &PublicKey) -> Option<Number> {
        Number::parse(&raw_rsa::recover(key, self.0).ok()?)
    }

    /// Whether it is a signature of `number` by `key`, with any algorithm of that key. PS256 may
    /// have a salt of the digest's or of the greatest length, and ECDSA may be in DER.
    pub fn signs(self, number: &Number, key: &PublicKey) -> bool {
        let message = number.as_str().as_bytes();
        let in_other_form = |alg: &Algorithm| match alg {
            Algorithm::Ps256 => key.verify_ps256_max_salt(message, self.0).is_ok(),
            Algorithm::Es256 | Algorithm::Es384 => key.verify_ecdsa_der(message, self.0).is_ok(),
            Algorithm::EdDsa | Algorithm::Rs256 => false,
        };
        let by = |alg: &Algorithm| key.verify(*alg, message, self.0).is_ok() || in_other_form(alg);
        key.algorithms().iter().any(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        keys::raw_rsa::RawRsaPrivateKey,
        test_support::{NOW, every_algorithm, rsa},
    };

    const ALICE: AccountId = AccountId::from_bytes([1; 16]);
    const BOB: AccountId = AccountId::from_bytes([2; 16]);
    const EPOCH: EpochId = EpochId::from_bytes([3; 16]);

    fn challenges(key: u8) -> MutualChallenges {
        MutualChallenges::new(SealingKey::from_bytes(&[key; 32]))
    }

    #[test]
    fn a_number_is_recognised_for_its_account_until_its_minute_is_over() {
        for offset in [0, 1, 30_000, 65_535, 65_536] {
            let made = NOW + Duration::from_millis(offset);
            let number = challenges(1).issue(ALICE, [7; 3], EPOCH, made);
            let known = |age: u64| {
                let now = made + Duration::from_millis(age);
                challenges(1).recognise(&number, ALICE, EPOCH, now).is_some()
            };
            assert!(known(0) && known(1) && known(59_999));
            assert!(!known(60_000) && !known(65_535) && !known(65_536) && !known(131_072));
            assert!(challenges(1).recognise(&number, BOB, EPOCH, made).is_none());
            assert!(challenges(2).recognise(&number, ALICE, EPOCH, made).is_none());
            let other = EpochId::from_bytes([4; 16]);
            assert!(challenges(1).recognise(&number, ALICE, other, made).is_none());
        }
    }

    #[test]
    fn a_number_of_a_node_whose_clock_is_ahead_is_known_within_the_skew() {
        for made in [NOW, NOW + Duration::from_millis(2_345)] {
            let number = challenges(1).issue(ALICE, [7; 3], EPOCH, made);
            let at = |behind| challenges(1).recognise(&number, ALICE, EPOCH, made - behind);
            assert_eq!(at(AHEAD).unwrap().entry().forget_at, made + LIFETIME);
            assert!(at(Duration::from_millis(1)).is_some());
            assert!(at(AHEAD + Duration::from_millis(1)).is_none());
        }
    }

    #[test]
    fn one_use_is_remembered_as_long_as_the_number_lives() {
        let number = challenges(1).issue(ALICE, [7; 3], EPOCH, NOW);
        let entry =
            |age| challenges(1).recognise(&number, ALICE, EPOCH, NOW + age).unwrap().entry();
        let (early, late) = (entry(Duration::ZERO), entry(Duration::from_secs(59)));
        assert_eq!(early, late);
        assert_eq!(early.forget_at, NOW + LIFETIME);
        let other = challenges(1).issue(ALICE, [8; 3], EPOCH, NOW);
        let other = challenges(1).recognise(&other, ALICE, EPOCH, NOW).unwrap().entry();
        assert_ne!(early.digest, other.digest);
    }

    #[test]
    fn a_number_reads_the_same_as_text_and_as_number() {
        for bytes in [[0; LENGTH], [0xff; LENGTH], [0x5a; LENGTH]] {
            let number = Number::write(bytes);
            assert_eq!(number.as_str().len(), DIGITS);
            assert!(number.as_str().starts_with('1'));
            assert_eq!(Number::parse(number.as_str().as_bytes()), Some(number.clone()));
            assert_eq!(number.read(), Some(bytes));
        }
        assert_eq!(
            &Number::write([0xff; LENGTH]).0[1..],
            "374144419156711147060143317175368453031918731001855"
        );
        assert_eq!(Number(format!("1{}", "9".repeat(51))).read(), None);
    }

    #[test]
    fn other_texts_are_no_numbers() {
        let number = challenges(1).issue(ALICE, [7; 3], EPOCH, NOW);
        let text = number.as_str();
        for other in [
            "",
            "1",
            &text[1..],
            &format!("{text}0"),
            &format!("2{}", &text[1..]),
            &format!("1{} ", &text[2..]),
            &format!("1-{}", &text[2..]),
        ] {
            assert_eq!(Number::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn no_altered_number_is_recognised() {
        let number = challenges(1).issue(ALICE, [7; 3], EPOCH, NOW);
        for place in 1..DIGITS {
            let mut altered = number.as_str().as_bytes().to_vec();
            altered[place] = if altered[place] == b'9' { b'0' } else { altered[place] + 1 };
            let altered = Number::parse(&altered).unwrap();
            assert!(challenges(1).recognise(&altered, ALICE, EPOCH, NOW).is_none());
        }
    }

    #[test]
    fn a_proposal_is_raw_or_a_signature_by_any_algorithm() {
        let number = challenges(1).issue(ALICE, [7; 3], EPOCH, NOW);
        let text = number.as_str().as_bytes();
        let other = challenges(1).issue(ALICE, [8; 3], EPOCH, NOW);
        for (algorithm, key) in every_algorithm() {
            let signature = key.sign(algorithm, text).unwrap();
            let proposal = Proposal::new(&signature);
            assert!(proposal.signs(&number, key.public_key()), "{algorithm}");
            assert!(!proposal.signs(&other, key.public_key()), "{algorithm}");
            assert_eq!(proposal.recover(key.public_key()), None, "{algorithm}");
            assert!(proposal.may_be_by(key.public_key()), "{algorithm}");
            assert!(!Proposal::new(&[0; 7]).may_be_by(key.public_key()), "{algorithm}");
        }
        let raw = RawRsaPrivateKey::from_pkcs8_der(&rsa().to_pkcs8_der()).unwrap();
        let block = raw.encrypt(text).unwrap();
        let proposal = Proposal::new(&block);
        assert_eq!(proposal.recover(rsa().public_key()), Some(number.clone()));
        assert!(!proposal.signs(&number, rsa().public_key()));
        let letters = raw.encrypt(b"no number").unwrap();
        assert_eq!(Proposal::new(&letters).recover(rsa().public_key()), None);
    }
}
