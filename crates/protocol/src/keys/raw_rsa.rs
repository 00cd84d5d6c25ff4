//! RSA in its raw form: PKCS#1 v1.5 padding of block type 1 around a message as it is, without the
//! `DigestInfo` that makes it a signature of a hash (RFC 2313 §8.1; RFC 8017 §9.2 less steps 1 and
//! 2). It is what Java's `Cipher("RSA")` does with a private key.
//!
//! Anybody who has the public key can recover the message, and then knows who sent it. The padding
//! is checked strictly. A caller must accept only messages that it made itself.

#![expect(unsafe_code, reason = "aws-lc-rs has no safe form of this operation")]

use std::ptr::NonNull;

use aws_lc_sys::{
    ERR_clear_error, RSA, RSA_PKCS1_PADDING, RSA_free, RSA_private_key_from_bytes,
    RSA_public_key_from_bytes, RSA_sign_raw, RSA_size, RSA_verify_raw,
};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    der::{self, Reader},
    public::PublicKey,
    spki,
};

/// The bytes that the padding needs at least: `00 01`, eight `FF`, `00`.
const PADDING: usize = 11;

/// A private key that makes raw blocks. It can be neither printed nor cloned.
pub struct RawRsaPrivateKey(Rsa);

impl RawRsaPrivateKey {
    /// Reads the PKCS#8 document of an RSA key, as
    /// [`PrivateKey::to_pkcs8_der`](super::PrivateKey::to_pkcs8_der) writes it.
    ///
    /// # Errors
    /// [`RawRsaError::NotRsa`] for anything else, and for inconsistent keys.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, RawRsaError> {
        let key = rsa_private_key(der).map_err(|_| RawRsaError::NotRsa)?;
        // SAFETY: the pointer and the length describe `key`, which outlives the call; the function
        // copies what it keeps. It returns null or a key that nobody else owns.
        let rsa = unsafe { RSA_private_key_from_bytes(key.as_ptr(), key.len()) };
        Rsa::new(rsa).map(Self)
    }

    /// `message` under the private key: a block as long as the modulus.
    ///
    /// # Errors
    /// [`RawRsaError::TooLong`] when `message` is longer than the modulus less 11 bytes.
    pub fn encrypt(&self, message: &[u8]) -> Result<Vec<u8>, RawRsaError> {
        let size = self.0.size();
        if message.len() + PADDING > size {
            return Err(RawRsaError::TooLong);
        }
        let mut block = vec![0; size];
        let mut written = 0;
        // SAFETY: `self.0` is a valid private key, borrowed for the call, and locks itself where it
        // changes its caches. Both slices are described by their own pointers and lengths, and the
        // function writes at most `block.len()` bytes.
        let done = unsafe {
            RSA_sign_raw(
                self.0.pointer(),
                &raw mut written,
                block.as_mut_ptr(),
                block.len(),
                message.as_ptr(),
                message.len(),
                RSA_PKCS1_PADDING,
            )
        };
        finish(done)?;
        block.truncate(written);
        Ok(block)
    }
}

/// The message that `block` holds under the private half of `key`. Keys of every size that
/// `key`'s policy let in are good for this.
///
/// # Errors
/// [`RawRsaError::NotRsa`] for other keys, [`RawRsaError::Block`] when the block was not made with
/// the private half, or is padded in another way.
pub fn recover(key: &PublicKey, block: &[u8]) -> Result<Zeroizing<Vec<u8>>, RawRsaError> {
    let key = key.to_rsa_der().ok_or(RawRsaError::NotRsa)?;
    // SAFETY: the pointer and the length describe `key`, which outlives the call; the function
    // copies what it keeps. It returns null or a key that nobody else owns.
    let rsa = Rsa::new(unsafe { RSA_public_key_from_bytes(key.as_ptr(), key.len()) })?;
    if block.len() != rsa.size() {
        return Err(RawRsaError::Block);
    }
    let mut message = Zeroizing::new(vec![0; rsa.size()]);
    let mut written = 0;
    // SAFETY: `rsa` is a valid public key that this function owns. Both slices are described by
    // their own pointers and lengths, and the function writes at most `message.len()` bytes.
    let done = unsafe {
        RSA_verify_raw(
            rsa.pointer(),
            &raw mut written,
            message.as_mut_ptr(),
            message.len(),
            block.as_ptr(),
            block.len(),
            RSA_PKCS1_PADDING,
        )
    };
    finish(done)?;
    message.truncate(written);
    Ok(message)
}

/// Why a raw block is not made or not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RawRsaError {
    /// The block was not made with this key, or not in this form.
    #[error("the block was not made with this key")]
    Block,
    /// The key is no RSA key, or its parts do not belong together.
    #[error("the key is no RSA key")]
    NotRsa,
    /// The message does not fit into a block of this key.
    #[error("the message is too long for the key")]
    TooLong,
}

/// An `RSA` object of the library, owned.
struct Rsa(NonNull<RSA>);

impl Rsa {
    /// Takes over what the library returned.
    fn new(rsa: *mut RSA) -> Result<Self, RawRsaError> {
        if rsa.is_null() {
            clear_errors();
        }
        NonNull::new(rsa).map(Self).ok_or(RawRsaError::NotRsa)
    }

    const fn pointer(&self) -> *mut RSA {
        self.0.as_ptr()
    }

    /// The length of the modulus in bytes.
    fn size(&self) -> usize {
        // SAFETY: the key is valid as long as `self` is.
        let size = unsafe { RSA_size(self.pointer()) };
        usize::try_from(size).unwrap_or_default()
    }
}

impl Drop for Rsa {
    fn drop(&mut self) {
        // SAFETY: `self` owns the key and is not used again; the library wipes what it frees.
        unsafe { RSA_free(self.pointer()) };
    }
}

/// The `RSAPrivateKey` (RFC 8017 appendix A.1.2) in a PKCS#8 document (RFC 5208).
fn rsa_private_key(pkcs8: &[u8]) -> Result<&[u8], der::Malformed> {
    let mut outer = Reader::new(pkcs8);
    let mut info = outer.enter(der::SEQUENCE)?;
    outer.finish()?;
    info.unsigned()?;
    let mut algorithm = info.enter(der::SEQUENCE)?;
    if algorithm.read(der::OBJECT_IDENTIFIER)? != spki::RSA {
        return Err(der::Malformed);
    }
    info.read(der::OCTET_STRING)
}

/// What the library's 1 for success and 0 for failure mean here.
fn finish(done: std::os::raw::c_int) -> Result<(), RawRsaError> {
    if done == 1 {
        return Ok(());
    }
    clear_errors();
    Err(RawRsaError::Block)
}

/// Forgets the reasons that the library noted for this thread: nobody reads them.
fn clear_errors() {
    // SAFETY: takes nothing and touches only the calling thread's own queue.
    unsafe { ERR_clear_error() };
}

#[cfg(test)]
mod tests;
