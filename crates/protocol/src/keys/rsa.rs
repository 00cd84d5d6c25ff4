//! Which RSA keys are good enough.

use super::error::KeyError;

/// The smallest modulus, in bits, that any algorithm here verifies with.
const MIN_RS256_BITS: u32 = 1024;
/// The smallest modulus, in bits, that PS256 verifies with.
const MIN_PS256_BITS: u32 = 2048;
/// The largest modulus, in bits, that any algorithm here verifies with.
const MAX_BITS: u32 = 8192;
/// The exponent of practically all keys, and the smallest allowed (FIPS 186-5 §5.1).
const USUAL_EXPONENT: u64 = 65_537;
/// The largest exponent of any key that was ever let in: below 2³³.
const MAX_EXPONENT: u64 = (1 << 33) - 1;
/// The smallest modulus, in bits, that the cryptographic library signs with.
const MIN_SIGNING_BITS: u32 = 2048;

/// The odd primes below 168, for which the fingerprint of CVE-2017-15361 is taken.
const ROCA_PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// What an installation demands of RSA keys.
///
/// Whatever it allows, keys above 8192 bits are refused, keys below 2048 bits only verify RS256,
/// and keys below 1024 bits have no algorithm at all.
///
/// The client that registers a key decides how much each verification with it costs, even for wrong
/// signatures: the cost grows with the square of the modulus and the length of the exponent. So
/// both have a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// The smallest modulus in bits; 2048 by default.
    pub min_rsa_bits: u32,
    /// The largest modulus in bits; 4096 by default, 8192 at most.
    pub max_rsa_bits: u32,
    /// The largest exponent; 65537 by default, which is also the smallest that any policy allows,
    /// and below 2³³ at most.
    pub max_rsa_exponent: u64,
}

impl Default for KeyPolicy {
    fn default() -> Self {
        Self { min_rsa_bits: 2048, max_rsa_bits: 4096, max_rsa_exponent: USUAL_EXPONENT }
    }
}

impl KeyPolicy {
    /// Accepts every key that any policy has ever accepted: for keys that were stored under an
    /// earlier policy.
    pub const ANY: Self =
        Self { min_rsa_bits: 0, max_rsa_bits: MAX_BITS, max_rsa_exponent: MAX_EXPONENT };

    /// The same, but the size of a modulus is rounded up to whole bytes: where 2048 bits are
    /// required, 2041 will do. The product of two primes of 1024 bits may have 2047 bits, and some
    /// generators leave it so.
    #[must_use]
    pub const fn by_whole_bytes(self) -> Self {
        let min_rsa_bits = match self.min_rsa_bits.div_ceil(8).checked_sub(1) {
            Some(bytes_below) => bytes_below.saturating_mul(8).saturating_add(1),
            None => 0,
        };
        Self { min_rsa_bits, ..self }
    }

    /// Checks size and exponent of a key whose numbers were checked before.
    pub(super) fn check(&self, n: &[u8], e: &[u8]) -> Result<(), KeyError> {
        self.check_size(bits(n))?;
        self.check_exponent(e)
    }

    /// Odd, at least 65537 and within the policy.
    fn check_exponent(&self, e: &[u8]) -> Result<(), KeyError> {
        let value = e
            .len()
            .le(&5)
            .then(|| e.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)));
        let max = self.max_rsa_exponent.min(MAX_EXPONENT);
        match value {
            Some(value) if value % 2 == 1 && (USUAL_EXPONENT..=max).contains(&value) => Ok(()),
            _ => Err(KeyError::RsaExponent),
        }
    }

    pub(super) fn check_size(&self, bits: u32) -> Result<(), KeyError> {
        if bits < self.min_rsa_bits {
            return Err(KeyError::RsaTooSmall { bits, min: self.min_rsa_bits });
        }
        let max = self.max_rsa_bits.min(MAX_BITS);
        if bits > max {
            return Err(KeyError::RsaTooLarge { bits, max });
        }
        Ok(())
    }

    /// As [`KeyPolicy::check_size`], for keys that will be used to sign.
    pub(super) fn check_signing_size(&self, bits: u32) -> Result<(), KeyError> {
        let min_rsa_bits = self.min_rsa_bits.max(MIN_SIGNING_BITS);
        Self { min_rsa_bits, ..*self }.check_size(bits)
    }
}

/// Checks modulus and exponent, both big-endian without leading zero bytes.
pub(super) fn check(n: &[u8], e: &[u8], policy: &KeyPolicy) -> Result<(), KeyError> {
    // The size comes first, so that a huge key costs nothing.
    policy.check_size(bits(n))?;
    if n.last().is_none_or(|last| last % 2 == 0) {
        return Err(KeyError::RsaEvenModulus);
    }
    policy.check_exponent(e)?;
    if has_roca_fingerprint(n) {
        return Err(KeyError::RsaRoca);
    }
    Ok(())
}

pub(super) const fn supports_rs256(bits: u32) -> bool {
    bits >= MIN_RS256_BITS
}

pub(super) const fn supports_ps256(bits: u32) -> bool {
    bits >= MIN_PS256_BITS
}

/// The size of a number that is big-endian without leading zero bytes.
pub(super) fn bits(number: &[u8]) -> u32 {
    let all = u32::try_from(number.len()).unwrap_or(u32::MAX).saturating_mul(8);
    all - number.first().map_or(0, |first| first.leading_zeros())
}

/// Whether `n` modulo each small prime lies in the subgroup that 65537 generates, as it does for
/// the factorable keys of CVE-2017-15361 ("ROCA", Nemec et al. 2017, §3.1) and for fewer than one
/// in 10⁸ others.
fn has_roca_fingerprint(n: &[u8]) -> bool {
    ROCA_PRIMES.iter().all(|&prime| {
        let residue = n.iter().fold(0, |residue, byte| (residue << 8 | u32::from(*byte)) % prime);
        let generator = 65537 % prime;
        let mut power = 1;
        loop {
            if power == residue {
                return true;
            }
            power = power * generator % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_modulus_counts_by_its_bytes_seven_bits_may_be_missing_and_no_eighth() {
        let refuses = |policy: &KeyPolicy, bits| policy.check_size(bits).is_err();
        let strict = KeyPolicy::default();
        let tolerant = strict.clone().by_whole_bytes();
        for bits in 2041..2048 {
            assert!(refuses(&strict, bits) && !refuses(&tolerant, bits), "{bits}");
        }
        assert!(refuses(&tolerant, 2040) && !refuses(&tolerant, 2048));
        assert_eq!(tolerant.max_rsa_bits, strict.max_rsa_bits);
        assert_eq!(KeyPolicy::ANY.by_whole_bytes(), KeyPolicy::ANY);
    }
}
