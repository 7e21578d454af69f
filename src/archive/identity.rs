//! What tells an archive from every other one, and the key of its cursors.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use orion::hazardous::hash::blake2::blake2b::Hasher;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    error::{Error, ErrorKind, Result},
    order::CursorKey,
    resources::{Random, io_error},
};

const ARCHIVE_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// The identity of an archive, which its copies share, and a key for its cursors: 48 random bytes, drawn once. In a
/// manifest they are base64url without padding.
///
/// The key is no better protected than the flows beside it: whoever can read the archive can read both.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    archive: [u8; ARCHIVE_BYTES],
    key: CursorKey,
}

impl Identity {
    /// A new one.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system gives no random numbers.
    pub(super) fn random(random: &dyn Random) -> Result<Self> {
        let mut bytes = [0; ARCHIVE_BYTES + KEY_BYTES];
        random.fill(&mut bytes).map_err(io_error("the system gives no random numbers"))?;
        Self::of(&bytes).ok_or_else(|| Error::internal("an identity has another length"))
    }

    /// The identity of an archive whose manifest, this line, has none: a hash of it. The names of the segments in it are
    /// random, so nobody can guess it who cannot read the archive.
    pub(super) fn derived(manifest: &str) -> Result<Self> {
        let hash = Hasher::Blake2b384.digest(manifest.as_bytes());
        let hash = hash.map_err(Error::with(ErrorKind::Internal, "a manifest cannot be hashed"))?;
        Self::of(hash.as_ref()).ok_or_else(|| Error::internal("an identity has another length"))
    }

    /// The identity of an archive that has none yet, because it has never had a flow: no cursor was ever given of it.
    pub(super) const fn none() -> Self {
        Self { archive: [0; ARCHIVE_BYTES], key: CursorKey::new([0; KEY_BYTES]) }
    }

    pub(super) fn archive(&self) -> [u8; ARCHIVE_BYTES] {
        self.archive
    }

    pub(super) fn key(&self) -> &CursorKey {
        &self.key
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let (archive, key) = bytes.split_first_chunk()?;
        Some(Self { archive: *archive, key: CursorKey::new(key.try_into().ok()?) })
    }
}

impl fmt::Debug for Identity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", URL_SAFE_NO_PAD.encode(self.archive))
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let bytes = [self.archive.as_slice(), self.key.secret()].concat();
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        bytes.and_then(|bytes| Self::of(&bytes)).ok_or_else(|| de::Error::custom("this is no identity of an archive"))
    }
}
