//! Encryption and authentication of cursors.

use std::fmt;

use orion::{
    errors::UnknownCryptoError,
    hazardous::{
        aead::xchacha20poly1305::{self as aead, Nonce, SecretKey},
        mac::{
            blake2b::{Blake2b, SecretKey as MacKey},
            poly1305::POLY1305_OUTSIZE,
        },
    },
};

use crate::error::{Error, ErrorKind, Result};

/// Bytes of the synthetic nonce that are sent. The remaining 8 of the 24 bytes of XChaCha20 are zero.
const NONCE_BYTES: usize = 16;

/// How many bytes longer a text is once it is sealed.
pub(super) const OVERHEAD: usize = NONCE_BYTES + POLY1305_OUTSIZE;

/// A secret of 32 random bytes with which cursors are encrypted and authenticated.
///
/// Every archive has one of its own, in its manifest. A host that wants to keep it elsewhere, or to exchange it, sets
/// [`Settings::cursor_key`](crate::archive::Settings::cursor_key): cursors that another key has sealed are then
/// refused.
///
/// ```
/// use flowseek::{Settings, order::CursorKey};
///
/// let secret = [7; 32]; // from where the host keeps its secrets
/// let settings = Settings::default().cursor_key(CursorKey::new(secret));
/// assert_eq!(format!("{:?}", settings.cursor_key), "Some(CursorKey(..))");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CursorKey([u8; 32]);

impl CursorKey {
    /// The key with these bytes. They must come from a cryptographic source of random numbers.
    pub const fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// Its bytes.
    pub(crate) const fn secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CursorKey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(..)")
    }
}

/// Seals and opens the cursors of one archive.
///
/// It is XChaCha20-Poly1305 with a synthetic nonce: the keyed BLAKE2b of what is sealed. The same text has the same
/// sealed form, and two texts have the same nonce with a chance of about 2^-128. The identity of the archive is
/// authenticated with every text, so that another archive with the same key does not open it. The two keys, of the
/// cipher and of the nonce, are the keyed BLAKE2b of two constants under the [`CursorKey`].
pub(crate) struct Seal {
    archive: [u8; 16],
    cipher_key: SecretKey,
    nonce_key: MacKey,
}

impl Seal {
    /// The seal of the archive with this identity, under a key.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the cipher refuses its parameters.
    pub(crate) fn new(key: &CursorKey, archive: [u8; 16]) -> Result<Self> {
        let derive = |label: &[u8]| keyed_hash(&MacKey::from_slice(&key.0)?, 32, &[label]);
        let keys = || {
            let cipher_key = SecretKey::from_slice(&derive(b"flowseek cursor cipher")?)?;
            Ok((cipher_key, MacKey::from_slice(&derive(b"flowseek cursor nonce")?)?))
        };
        let (cipher_key, nonce_key) = keys().map_err(unsealed)?;
        Ok(Self { archive, cipher_key, nonce_key })
    }

    /// The sealed form of `text`: [`OVERHEAD`] bytes longer. `version` is authenticated with it.
    pub(super) fn seal(&self, version: u8, text: &[u8]) -> Result<Vec<u8>> {
        let seal = || {
            let context = self.context(version);
            let nonce = keyed_hash(&self.nonce_key, NONCE_BYTES, &[&context, text])?;
            let mut sealed = vec![0; text.len() + POLY1305_OUTSIZE];
            aead::seal(&self.cipher_key, &padded(&nonce)?, text, Some(&context), &mut sealed)?;
            Ok([nonce, sealed].concat())
        };
        seal().map_err(unsealed)
    }

    /// The text that was sealed; `None` where `sealed` is not what this seal made of one.
    pub(super) fn open(&self, version: u8, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
        let mut text = vec![0; sealed.len().checked_sub(POLY1305_OUTSIZE)?];
        let nonce = padded(nonce).ok()?;
        aead::open(&self.cipher_key, &nonce, sealed, Some(&self.context(version)), &mut text).ok()?;
        Some(text)
    }

    fn context(&self, version: u8) -> [u8; 17] {
        let mut context = [version; 17];
        let (_, archive) = context.split_at_mut(1);
        archive.copy_from_slice(&self.archive);
        context
    }
}

impl fmt::Debug for Seal {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("archive", &self.archive).finish_non_exhaustive()
    }
}

fn padded(nonce: &[u8]) -> std::result::Result<Nonce, UnknownCryptoError> {
    let mut padded = nonce.to_vec();
    padded.resize(24, 0);
    Nonce::from_slice(&padded)
}

fn keyed_hash(key: &MacKey, bytes: usize, parts: &[&[u8]]) -> std::result::Result<Vec<u8>, UnknownCryptoError> {
    let mut hash = Blake2b::new(key, bytes)?;
    parts.iter().try_for_each(|part| hash.update(part))?;
    Ok(hash.finalize()?.unprotected_as_bytes().to_vec())
}

fn unsealed(error: UnknownCryptoError) -> Error {
    Error::with(ErrorKind::Internal, "a cursor could not be sealed")(error)
}
