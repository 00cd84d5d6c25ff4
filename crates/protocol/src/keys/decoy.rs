//! Keys that nobody has. Verifying with one takes as long as verifying with a real key.
//!
//! They stand in for the keys of accounts that do not exist, so that an unknown account costs what
//! a wrong signature costs. Their private halves were never kept. Even a signature by one of them
//! would prove nothing, because a decoy belongs to no account.

use std::sync::LazyLock;

use super::{Algorithm, KeyPolicy, PublicKey};

/// The decoy for signatures by `algorithm`.
pub fn decoy(algorithm: Algorithm) -> &'static PublicKey {
    static KEYS: LazyLock<[PublicKey; 4]> =
        LazyLock::new(|| [ED25519, EC_P256, EC_P384, RSA].map(parse));
    let [ed25519, ec_p256, ec_p384, rsa] = &*KEYS;
    match algorithm {
        Algorithm::EdDsa => ed25519,
        Algorithm::Es256 => ec_p256,
        Algorithm::Es384 => ec_p384,
        Algorithm::Ps256 | Algorithm::Rs256 => rsa,
    }
}

#[expect(clippy::expect_used, reason = "the texts are constants, and a test parses them all")]
fn parse(jwk: &str) -> PublicKey {
    PublicKey::parse(jwk, &KeyPolicy::default()).expect("the decoys are good keys")
}

const RSA: &str = concat!(
    r#"{"kty":"RSA","e":"AQAB","n":"psSFrJf0kXF2EmFcS6aPmkYDTciayTlEQP-JxgX1BPP-AwADwTWkQxJt6ty"#,
    r#"Gc6iXmJsjnu_Wjqd_uvF0ujayCEa1rGur1rne-n7n-I_wVI_iTD6sj1rMj8JElJU2DIJb_mV2yJy9tf-qcMGMhzh"#,
    r#"tNt7WRlc9RP1Y5ESD7q-w0MLe2Hdv5iC9FVxvwcIKhiUL9lFjXDEusGhdBwXvRV7Zw6E0I6iTd43hOXoLgguMDjZ"#,
    r#"KAK2zL47PKkBh2t6tZVBDonbEgbUbrfi3vNQ_NMV_oUT9ZI4KK1BIMSGCfKbRgAXYnc4CHISFjRZ8i4QSqTnrt-o"#,
    r#"2EA8TTRVmhSylPc-0ew"}"#,
);
const EC_P256: &str = concat!(
    r#"{"kty":"EC","crv":"P-256","x":"7SJsZDtEXYQbRNimGVhpjRDDqx3eECLxwMSyF31B0FA","y":"6LKWFSg"#,
    r#"_NRQmyTUSg1A_YFg4IBTsMvvfXhtEJXFS2DM"}"#,
);
const EC_P384: &str = concat!(
    r#"{"kty":"EC","crv":"P-384","x":"1WLQfFqDEr-K7HxjcOYoPs6JrkmetjI8qhiayHJFpwnJGQJVTb6QoomB_"#,
    r#"Pf3ds75","y":"gO4cPerkYndEHxgzvLZez5U9fgb9nIjg4p3Kisn2bIcarfh5OGg3g4zq58pSCuUp"}"#,
);
const ED25519: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"EI7kyDQRYcarwOTnSWxJXAALFxtoG6cDwJMn-NbQjy8"}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_decoy_for_every_algorithm() {
        for algorithm in Algorithm::ALL {
            assert!(decoy(algorithm).algorithms().contains(&algorithm));
        }
    }
}
