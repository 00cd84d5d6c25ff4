//! Why a key, a signature or a signing request is refused.

use super::algorithm::{Algorithm, KeyType};
use crate::strict::json::JsonError;
use crate::strict::pem::PemError;

/// Why something is not accepted as a key. The messages never contain key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// `alg` of a JWK names no algorithm that fits the key.
    #[error("the alg of the JWK does not fit the key or is not supported")]
    AlgorithmMismatch,
    /// Base64 of a PEM text.
    #[error("this is base64 of a PEM text; send the PEM text itself")]
    Base64OfPem,
    /// Base64url where standard base64 is wanted.
    #[error(
        "this is base64url or lacks its padding; send standard base64 of SubjectPublicKeyInfo DER, \
         a PEM block or a JWK"
    )]
    Base64UrlOfDer,
    /// An X.509 certificate.
    #[error(
        "this is an X.509 certificate; send the public key alone (openssl x509 -pubkey -noout)"
    )]
    Certificate,
    /// An EC point in compressed form (SEC 1 §2.3.3).
    #[error(
        "the EC point is compressed; encode it uncompressed \
         (openssl ec -pubin -in KEY -pubout -conv_form uncompressed)"
    )]
    CompressedPoint,
    /// The text is empty.
    #[error("the text is empty; send a JWK, a PEM block or base64 of SubjectPublicKeyInfo DER")]
    Empty,
    /// A private key with the encryption of OpenSSL before PKCS#8 (RFC 1421 §4.6.1.1).
    #[error(
        "this private key is encrypted in the old way of OpenSSL (Proc-Type: 4,ENCRYPTED), which is not \
         opened here; decrypt it first (openssl pkey -in KEY -out PLAIN; with OpenSSL 3, an old cipher \
         such as RC2 or DES needs -provider legacy -provider default too)"
    )]
    EncryptedPem,
    /// An encrypted private key (RFC 5958 §3). Its passphrase opens it.
    #[error("this private key is encrypted; decrypt it first (openssl pkey -in KEY -out PLAIN)")]
    EncryptedPrivateKey,
    /// The parameters of the curve are spelt out instead of its name.
    #[error(
        "the curve's parameters are spelt out instead of its name; \
         write the name (openssl ec -in KEY -param_enc named_curve)"
    )]
    ExplicitCurve,
    /// The key generator failed.
    #[error("the cryptographic library could not generate a key")]
    GenerationFailed,
    /// Hexadecimal digits.
    #[error("these are hexadecimal digits; send a JWK, a PEM block or base64 of the DER")]
    Hexadecimal,
    /// An EC point in hybrid form (X9.62).
    #[error(
        "the EC point is in hybrid form; encode it uncompressed \
         (openssl ec -pubin -in KEY -pubout -conv_form uncompressed)"
    )]
    HybridPoint,
    /// A private key whose parts do not belong together, or that is damaged.
    #[error("the private key is damaged or inconsistent")]
    InvalidPrivateKey,
    /// `key_ops` of a JWK is not a list of different strings, or lacks `verify`.
    #[error(
        "the member key_ops of the JWK must contain verify, as that of a public key does: leave key_ops \
         out when making a public JWK from a private one"
    )]
    InvalidKeyOps,
    /// `use` of a JWK is not `sig`.
    #[error(
        "the member use of the JWK must be sig, or left out: a key that decrypts does not sign"
    )]
    InvalidUse,
    /// A keystore of Java in its own format, JKS or JCEKS.
    #[error(
        "this is a Java keystore; write it as PKCS#12 (keytool -importkeystore -srckeystore FILE \
         -destkeystore P12 -deststoretype PKCS12), then take the private key out of that \
         (openssl pkcs12 -in P12 -nodes -nocerts -out KEY)"
    )]
    JavaKeystore,
    /// The text of a JWK is not strict JSON.
    #[error("invalid JWK: {0}")]
    Json(#[from] JsonError),
    /// A JWK Set where one key is wanted.
    #[error("this is a JWK Set; send one key from its member keys")]
    JwkSet,
    /// `n` or `e` of a JWK starts with a zero byte (RFC 7518 §6.3.1).
    #[error("the member {0} of the JWK has a leading zero byte")]
    LeadingZero(&'static str),
    /// A point of low order, for which anyone can sign.
    #[error("the Ed25519 key is a point of low order and protects nothing")]
    LowOrderPoint,
    /// Not the DER that keys are written in.
    #[error("the key is not a valid DER structure of its kind")]
    MalformedDer,
    /// A member of a JWK is missing, or not a string.
    #[error("the JWK needs a member {0} that is a string")]
    MissingMember(&'static str),
    /// DER with alternative parameters, trailing bytes or another second spelling.
    #[error("the key is not encoded canonically")]
    NonCanonicalDer,
    /// An Ed25519 key whose y coordinate is not reduced.
    #[error("the Ed25519 key is not encoded canonically")]
    NonCanonicalPoint,
    /// A member of a JWK is not canonical base64url.
    #[error("the member {0} of the JWK is not canonical base64url without padding")]
    NotBase64Url(&'static str),
    /// A key or a keyring of `OpenPGP`.
    #[error(
        "this is an OpenPGP key, and such keys are not accepted; make another \
         (openssl genpkey -algorithm ed25519 -out KEY)"
    )]
    OpenPgp,
    /// A certificate of OpenSSH.
    #[error(
        "this is an OpenSSH certificate; send the public key alone, the file without -cert in its name"
    )]
    OpenSshCertificate,
    /// A private key file of OpenSSH whose cipher is not known here.
    #[error(
        "the cipher of this OpenSSH private key is not supported; use another \
         (ssh-keygen -p -Z aes256-ctr -f KEY, in place: use a copy)"
    )]
    OpenSshCipher,
    /// The public half of a key, as OpenSSH, `PuTTY` and RFC 4716 write it, does not decode.
    #[error("the public key in OpenSSH's form is damaged: a part is missing or was changed")]
    OpenSshDamaged,
    /// A private key in OpenSSH's own format, which is not read here.
    #[error(
        "this is a private key in the format of OpenSSH, which is not read here; \
         write it as PEM (ssh-keygen -p -m PEM works for RSA and EC keys, in place: use a copy)"
    )]
    OpenSshPrivateKey,
    /// A key that lives in a security key.
    #[error(
        "this is an OpenSSH key of a security key (sk-), which signs for OpenSSH alone; make another \
         (ssh-keygen -t ed25519)"
    )]
    OpenSshSecurityKey,
    /// A private key file of OpenSSH whose passphrase costs more work than is done here.
    #[error(
        "the passphrase of this OpenSSH private key takes {rounds} rounds of bcrypt; at most {max} are \
         done here; write it with fewer (ssh-keygen -p -a 24 -f KEY, in place: use a copy)"
    )]
    OpenSshTooCostly {
        /// What the file asks for.
        rounds: u32,
        /// The most that is done.
        max: u32,
    },
    /// A private key file of OpenSSH that is damaged.
    #[error("the OpenSSH private key is damaged: a part is missing or was changed")]
    OpenSshUnreadable,
    /// The passphrase of an encrypted private key is missing.
    #[error("this private key is encrypted; its passphrase is needed")]
    PassphraseNeeded,
    /// An encrypted private key whose passphrase costs more work than is done here.
    #[error(
        "the passphrase of this private key takes {iterations} iterations of PBKDF2; at most {max} are \
         done here; decrypt it first (openssl pkey -in KEY -out PLAIN)"
    )]
    Pbkdf2TooCostly {
        /// What the file asks for.
        iterations: u64,
        /// The most that is done.
        max: u32,
    },
    /// The text is not one PEM block.
    #[error("invalid PEM: {0}")]
    Pem(#[from] PemError),
    /// A file of PKCS#12 (RFC 7292), such as a `.p12`, a `.pfx` or a keystore of Java.
    #[error(
        "this is a PKCS#12 file; take the private key out of it \
         (openssl pkcs12 -in FILE -nodes -nocerts -out KEY; an old file needs -legacy too)"
    )]
    Pkcs12,
    /// The point is not on its curve, or is the point at infinity.
    #[error("the public key is not a point on its curve")]
    PointNotOnCurve,
    /// The numbers of a key without the structure that says of which kind it is.
    #[error(
        "these {0} bytes are a bare key, without the structure that says of which kind; \
         send SubjectPublicKeyInfo (openssl pkey -pubin -pubout) or a JWK"
    )]
    RawKey(usize),
    /// A private key where a public one is wanted.
    #[error("this is a private key; send the public half")]
    PrivateKey,
    /// A JWK with a private or symmetric member.
    #[error("the JWK holds the private member {0}; send the public half")]
    PrivateMember(&'static str),
    /// A private key file of `PuTTY`.
    #[error(
        "this is a private key file of PuTTY; write it in the format of OpenSSH \
         (puttygen FILE -O private-openssh-new -o KEY)"
    )]
    PuttyPrivateKey,
    /// A public key where a private one is wanted.
    #[error("this is a public key; the private key is needed here")]
    PublicKey,
    /// The modulus is even.
    #[error("the RSA modulus is even")]
    RsaEvenModulus,
    /// The exponent is even, below 65537 or above what the policy allows.
    #[error("the RSA exponent is not 65537; make the key anew with that exponent")]
    RsaExponent,
    /// An RSA key that its structure restricts to PSS.
    #[error(
        "RSA keys that are restricted to PSS (id-RSASSA-PSS) are not supported; make an ordinary one, \
         which signs PS256 too (openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048)"
    )]
    RsaPssRestricted,
    /// The key is one of those that anyone can factor.
    #[error("the RSA key has the weakness CVE-2017-15361 (ROCA); make a new one elsewhere")]
    RsaRoca,
    /// The modulus is too large.
    #[error("the RSA key has {bits} bits; at most {max} are accepted")]
    RsaTooLarge {
        /// The size of this key.
        bits: u32,
        /// What the policy allows.
        max: u32,
    },
    /// The modulus is too small.
    #[error("the RSA key has {bits} bits; at least {min} are needed")]
    RsaTooSmall {
        /// The size of this key.
        bits: u32,
        /// What the policy demands.
        min: u32,
    },
    /// A private key in the format of ssh.com's SSH2.
    #[error(
        "this is a private key in the format of ssh.com; write it in the format of OpenSSH \
         (puttygen FILE -O private-openssh-new -o KEY)"
    )]
    SshComPrivateKey,
    /// The text is longer than any key.
    #[error("the text is too long for a key")]
    TooLong,
    /// A curve that is not known here at all.
    #[error("the curve is not supported; use Ed25519, P-256 or P-384")]
    UnknownCurve,
    /// A kind of key that is not known here at all.
    #[error("this kind of key is not supported; use Ed25519, EC P-256, EC P-384 or RSA")]
    UnknownKeyType,
    /// Neither JWK nor PEM nor base64 of DER.
    #[error("not a key: send a JWK, a PEM block or base64 of SubjectPublicKeyInfo DER")]
    Unrecognized,
    /// A curve other than P-256, P-384 and Ed25519.
    #[error("the curve {0} is not supported; use Ed25519, P-256 or P-384")]
    UnsupportedCurve(&'static str),
    /// A private key that is encrypted with other algorithms than PBKDF2 and AES-CBC.
    #[error(
        "this private key is encrypted in a way that is not opened here (PBKDF2 with AES-CBC is); \
         decrypt it first (openssl pkey -in KEY -out PLAIN; with OpenSSL 3, an old cipher such as RC2, \
         RC4 or DES needs -provider legacy -provider default too)"
    )]
    UnsupportedEncryption,
    /// A kind of key other than Ed25519, EC and RSA.
    #[error("{0} keys are not supported; use Ed25519, EC P-256, EC P-384 or RSA")]
    UnsupportedKeyType(&'static str),
    /// No PEM label names a kind of key known here.
    #[error("no PEM block here is labelled as a key of a supported kind, such as PUBLIC KEY")]
    UnsupportedPemLabel,
    /// UTF-16 text.
    #[error("the text is UTF-16, as PowerShell's > writes it; save it as UTF-8 or ASCII")]
    Utf16,
    /// The passphrase does not open the private key.
    #[error("the passphrase does not open this private key")]
    WrongPassphrase,
    /// A coordinate or key of the wrong length.
    #[error("the member {0} has the wrong length for this kind of key")]
    WrongLength(&'static str),
}

/// The signature does not verify: wrong bytes, wrong key, wrong message, or an algorithm that the
/// key may not be used with. There is deliberately no more to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The cryptographic library refused.
    #[error("the cryptographic library could not sign")]
    Failed,
    /// The value to be signed cannot be written as JSON: a mistake in its Rust type.
    #[error("the payload cannot be written as JSON")]
    Payload,
    /// The algorithm needs another kind of key.
    #[error("{key_type} keys do not sign with {algorithm}")]
    WrongAlgorithm {
        /// What was asked for.
        algorithm: Algorithm,
        /// What the key is.
        key_type: KeyType,
    },
}
