//! Keys that tokens are signed with, each for one algorithm.

use std::{fmt, path::PathBuf, sync::Arc};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::Value;

use super::strength::weakness;
use crate::{
    error::{Error, ErrorKind, Result},
    http::watched::{Read, Watched},
};

/// Bytes of an uncompressed point of P-256 (SEC 1, section 2.3.3).
const P256_POINT_BYTES: usize = 65;
/// The most keys that an error lists.
const MOST_LISTED: usize = 10;

/// Where the keys are that tokens must be signed with.
///
/// A key goes with one algorithm, whatever a token says: a secret with HS256, an RSA key with RS256, one on the curve
/// P-256 with ES256, one on Ed25519 with EdDSA. A secret has at least 32 bytes and an RSA key at least 2,048 bits, as RFC
/// 7518 has it (sections 3.2 and 3.3). A file is read again when it changes; while what it holds cannot be used, what it
/// held before stays in force.
///
/// ```
/// use flowseek::http::KeySource;
///
/// assert!(KeySource::secret(b"a secret of at least 32 bytes...").is_ok());
/// assert!(KeySource::secret(b"").is_err());
/// assert!(KeySource::jwks_file("no-such-file.json").is_err());
/// ```
#[derive(Debug)]
pub struct KeySource(Source);

#[derive(Debug)]
enum Source {
    Fixed(Arc<Keys>),
    File(Watched<Keys>),
}

impl KeySource {
    /// A secret that the issuer of tokens shares with this server.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where it is shorter than 32 bytes.
    pub fn secret(secret: &[u8]) -> Result<Self> {
        Keys::secret(secret).map(|keys| Self(Source::Fixed(Arc::new(keys))))
    }

    /// A file that is a secret, less one newline at its end.
    ///
    /// # Errors
    /// As [`secret`](Self::secret); [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where it cannot be read.
    pub fn secret_file(path: impl Into<PathBuf>) -> Result<Self> {
        Self::file(path, |files| {
            let secret = first(files);
            Ok(Keys::secret(secret.strip_suffix(b"\n").unwrap_or(secret))?)
        })
    }

    /// A file with one public key in PEM: RSA, P-256 or Ed25519.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where it is none or a weak one; [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where it cannot be
    /// read.
    pub fn public_key_file(path: impl Into<PathBuf>) -> Result<Self> {
        Self::file(path, |files| Ok(Keys::pem(first(files))?))
    }

    /// A file with a JSON Web Key Set (RFC 7517). Keys for encryption or other algorithms are passed over, as are those
    /// that are weak, that cannot be read, or whose `key_ops` lack `verify`; the log says why.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where no key of it can be used; [`ErrorKind::NotFound`] or [`ErrorKind::Io`] where it
    /// cannot be read.
    pub fn jwks_file(path: impl Into<PathBuf>) -> Result<Self> {
        Self::file(path, |files| Ok(Keys::jwks(first(files))?))
    }

    fn file(path: impl Into<PathBuf>, read: Read<Keys>) -> Result<Self> {
        Watched::open(vec![path.into()], read).map(|keys| Self(Source::File(keys)))
    }

    /// The keys as they are now.
    pub(super) fn current(&self) -> Arc<Keys> {
        match &self.0 {
            Source::Fixed(keys) => Arc::clone(keys),
            Source::File(keys) => keys.current(),
        }
    }
}

fn first(files: &[Vec<u8>]) -> &[u8] {
    files.first().map_or(&[], Vec::as_slice)
}

/// A key, its algorithm and perhaps its name.
pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The keys that may have signed a token.
pub(super) struct Keys(Vec<Key>);

impl fmt::Debug for Keys {
    /// Says nothing of what the keys are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl Keys {
    fn secret(secret: &[u8]) -> Result<Self> {
        Self::one(Algorithm::HS256, DecodingKey::from_secret(secret))
    }

    fn pem(pem: &[u8]) -> Result<Self> {
        if pem.windows(11).any(|window| window == b"PRIVATE KEY") {
            return Err(invalid(
                "it holds a private key; the public key is needed, and the private one best kept away",
            ));
        }
        let rsa = DecodingKey::from_rsa_pem(pem).map(|key| (Algorithm::RS256, key));
        let curve = DecodingKey::from_ec_pem(pem).map(|key| (Algorithm::ES256, key));
        let edwards = DecodingKey::from_ed_pem(pem).map(|key| (Algorithm::EdDSA, key));
        let (algorithm, key) = rsa.or(curve).or(edwards).map_err(|_| {
            invalid("it is no public key in PEM; allowed: RSA, P-256 and Ed25519 under BEGIN PUBLIC KEY")
        })?;
        if algorithm == Algorithm::ES256 && key.try_get_as_bytes().map(<[u8]>::len).ok() != Some(P256_POINT_BYTES) {
            return Err(invalid("its key is on another curve than P-256"));
        }
        Self::one(algorithm, key)
    }

    fn one(algorithm: Algorithm, key: DecodingKey) -> Result<Self> {
        match weakness(&key) {
            Some(weakness) => Err(invalid(&weakness)),
            None => Ok(Self(vec![Key { id: None, algorithm, key }])),
        }
    }

    fn jwks(json: &[u8]) -> Result<Self> {
        let set: Value =
            serde_json::from_slice(json).map_err(Error::with(ErrorKind::InvalidInput, "it is not JSON"))?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or_else(|| invalid("it is no JSON Web Key Set: it has no list `keys`"))?;
        let mut usable = Vec::new();
        let mut passed_over = Vec::new();
        for (number, json) in (1..).zip(keys) {
            let name = json.get("kid").and_then(Value::as_str).unwrap_or_default();
            match Key::of_set(json) {
                Ok(key) => usable.push(key),
                Err(Unusable::Elsewhere(why)) => {
                    tracing::debug!(number, name, "a key of the set is passed over: {why}")
                }
                Err(Unusable::Bad(why)) => {
                    tracing::warn!(number, name, "a key of the set cannot be used: {why}");
                    passed_over.push(format!("; key {number}: {why}"));
                }
            }
        }
        if usable.is_empty() {
            passed_over.truncate(MOST_LISTED);
            return Err(invalid(&format!(
                "none of its keys can be used; allowed: RSA, P-256, Ed25519 and secrets, for signatures{}",
                passed_over.concat()
            )));
        }
        Ok(Self(usable))
    }

    /// The keys of this algorithm, and of this name where token and key both have one.
    pub(super) fn candidates<'a>(&'a self, algorithm: Algorithm, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        let named = move |key: &&Key| match (key.id.as_deref(), id) {
            (Some(key), Some(id)) => key == id,
            _ => true,
        };
        self.0.iter().filter(move |key| key.algorithm == algorithm).filter(named)
    }
}

/// Why a key of a set is not used.
enum Unusable {
    /// It is for something else, as keys of a set often are.
    Elsewhere(&'static str),
    /// It might have been for this, and is not fit for it.
    Bad(String),
}

impl Key {
    /// A key of a set, where it is for signatures by one of the algorithms.
    fn of_set(json: &Value) -> Result<Self, Unusable> {
        use Unusable::{Bad, Elsewhere};
        // Others may be of kinds that this version knows nothing of.
        let jwk: Jwk =
            serde_json::from_value(json.clone()).map_err(|_| Elsewhere("its kind is unknown, or it is incomplete"))?;
        if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return Err(Elsewhere("its use is not sig"));
        }
        let algorithm = algorithm(&jwk).ok_or(Elsewhere("its kind or curve is not one of those that are used here"))?;
        if jwk.common.key_algorithm.is_some_and(|stated| stated != KeyAlgorithm::from(algorithm)) {
            return Err(Elsewhere("its alg is not one of RS256, ES256, EdDSA and HS256, or not that of its kind"));
        }
        if jwk.common.key_operations.as_ref().is_some_and(|allowed| !allowed.contains(&KeyOperations::Verify)) {
            return Err(Bad("its key_ops lack verify".to_owned()));
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| Bad("it cannot be read".to_owned()))?;
        match weakness(&key) {
            Some(weakness) => Err(Bad(weakness)),
            None => Ok(Self { id: jwk.common.key_id, algorithm, key }),
        }
    }
}

/// The algorithm that a key of its kind goes with.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    Some(match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(parameters) if parameters.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(parameters) if parameters.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
        _ => return None,
    })
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}
