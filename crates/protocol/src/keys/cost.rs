//! What verifying a signature costs, and how much of that one request may use.
//!
//! Clients choose the keys that they register. So they decide with how many keys a wrong signature
//! must be compared, and how long each comparison takes. The cost of a request is therefore counted
//! in verifications by an ordinary key, and no request gets more than [`VERIFICATIONS`], whichever
//! account it names.

use super::{Algorithm, KeyType, PublicKey};

/// What one request may cost at most: as many verifications as this by ordinary keys.
///
/// That is enough for an account with sixteen ordinary keys, or with four of the most expensive
/// ones. A client whose account has more names the key that signed (`kid`).
pub const VERIFICATIONS: u32 = 16;

/// How many verifications one request has left.
#[derive(Debug)]
pub struct Verifications(u32);

impl Default for Verifications {
    fn default() -> Self {
        Self(VERIFICATIONS)
    }
}

impl Verifications {
    /// Takes the cost of comparing a signature with `key` in `forms` ways. Returns `false` and
    /// takes nothing when less than that is left. A whole budget is enough for any one key.
    pub fn afford(&mut self, key: &PublicKey, forms: u32) -> bool {
        let cost = (key.cost() * forms).min(VERIFICATIONS);
        self.0.checked_sub(cost).map(|left| self.0 = left).is_some()
    }

    /// How many are spent.
    pub const fn spent(&self) -> u32 {
        VERIFICATIONS - self.0
    }
}

impl PublicKey {
    /// What one verification costs, counted in verifications by an ordinary key (Ed25519, P-256, or
    /// RSA of up to 2048 bits). Measured, and rounded up.
    pub fn cost(&self) -> u32 {
        match (self.key_type(), self.rsa_bits().unwrap_or_default()) {
            (KeyType::EcP384, _) | (KeyType::Rsa, 2049..=4096) => 4,
            (KeyType::Rsa, 4097..) => 16,
            (KeyType::Ed25519 | KeyType::EcP256 | KeyType::Rsa, _) => 1,
        }
    }

    /// Whether `signature` has the length, and `alg` is one of the key's, so that verifying costs
    /// something. Most keys of an account are ruled out by that.
    pub fn can_have_made(&self, alg: Algorithm, signature: &[u8]) -> bool {
        self.algorithms().contains(&alg) && signature.len() == self.signature_length()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{ec_p256, ec_p384, ed25519, every_algorithm};

    #[test]
    fn sixteen_ordinary_keys_are_compared_with_and_four_expensive_ones() {
        for (key, many) in [(ed25519(1), 16), (ec_p256(), 16), (ec_p384(), 4)] {
            let mut budget = Verifications::default();
            let affordable = (0..100).filter(|_| budget.afford(key.public_key(), 1)).count();
            assert_eq!((affordable, budget.spent()), (many, 16));
        }
    }

    #[test]
    fn what_is_left_for_no_expensive_key_is_left_for_an_ordinary_one() {
        let mut budget = Verifications::default();
        assert!(budget.afford(ed25519(1).public_key(), 13));
        assert!(!budget.afford(ec_p384().public_key(), 1));
        assert!(budget.afford(ed25519(1).public_key(), 3));
        assert!(!budget.afford(ed25519(1).public_key(), 1));
    }

    #[test]
    fn one_key_is_compared_with_whatever_it_costs() {
        assert!(Verifications::default().afford(ec_p384().public_key(), 9));
    }

    #[test]
    fn a_key_can_have_made_what_it_makes() {
        for (algorithm, key) in every_algorithm() {
            let signature = key.sign(algorithm, b"message").unwrap();
            assert!(key.public_key().can_have_made(algorithm, &signature), "{algorithm}");
            assert!(!key.public_key().can_have_made(algorithm, &signature[1..]), "{algorithm}");
        }
        let signature = ed25519(1).sign(Algorithm::EdDsa, b"message").unwrap();
        assert!(!ec_p256().public_key().can_have_made(Algorithm::EdDsa, &signature));
    }
}
