//! The cipher suite.

use argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::{
    CipherSuite, Ristretto255, TripleDh,
    errors::InternalError,
    generic_array::{ArrayLength, GenericArray},
    ksf::Ksf,
};

/// Ristretto255, 3DH with SHA-512, Argon2id.
pub(crate) struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2::Sha512>;
    type Ksf = Stretching;
}

/// What trying one password costs who has both the database and the server's secret: Argon2id with 3
/// passes over 64 MiB in one lane, as a keyring's passphrase does. The client pays it once for each
/// try; the server never does.
///
/// Each user's input is the output of an OPRF under a key of their own, so a salt would add nothing
/// (RFC 9807 §7).
#[derive(Default)]
pub(crate) struct Stretching;

/// As web pages say it: `{"argon2id-custom": {"iterations": 3, "memory": 65536, "parallelism": 1}}`.
const PASSES: u32 = 3;
const MEMORY_KIB: u32 = 64 * 1024;
const LANES: u32 = 1;
const SALT: [u8; 16] = [0; 16];

impl Ksf for Stretching {
    fn hash<L: ArrayLength<u8>>(
        &self,
        input: GenericArray<u8, L>,
    ) -> Result<GenericArray<u8, L>, InternalError> {
        let mut output = GenericArray::default();
        let failed = |_| InternalError::KsfError;
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(output.len())).map_err(failed)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(&input, &SALT, &mut output).map_err(failed)?;
        Ok(output)
    }
}
