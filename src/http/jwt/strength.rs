//! Keys that are too weak for what they sign.

use jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind};

/// The shortest secret, in bytes: as long as the hash of HS256 (RFC 7518, section 3.2).
const LEAST_SECRET_BYTES: usize = 32;
/// The shortest modulus of an RSA key, in bits (RFC 7518, section 3.3).
const LEAST_RSA_BITS: usize = 2048;
/// The tags of DER (X.690, section 8) that an RSA key has.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// Why a key is too weak; `None` where it is not. The curves have one length each.
pub(super) fn weakness(key: &DecodingKey) -> Option<String> {
    match (key.family(), key.kind()) {
        (AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) if secret.len() < LEAST_SECRET_BYTES => {
            Some(format!("the secret has {} bytes; allowed: at least {LEAST_SECRET_BYTES}", secret.len()))
        }
        (AlgorithmFamily::Rsa, kind) => {
            let modulus = match kind {
                DecodingKeyKind::RsaModulusExponent { n, .. } => Some(n.as_slice()),
                DecodingKeyKind::SecretOrDer(der) => modulus(der),
            };
            let bits = modulus.map_or(0, bits);
            (bits < LEAST_RSA_BITS).then(|| format!("the RSA key has {bits} bits; allowed: at least {LEAST_RSA_BITS}"))
        }
        _ => None,
    }
}

/// The modulus of an RSA key in DER: the first number of a sequence (RFC 8017, appendix A.1.1).
fn modulus(der: &[u8]) -> Option<&[u8]> {
    value(INTEGER, value(SEQUENCE, der)?)
}

/// The bytes of the first value, where it has this tag.
///
/// `30 82 01 0a ...` is a sequence of 0x010a bytes: a length beyond 127 is written as the number of its bytes, with the
/// highest bit set, and these bytes.
fn value(tag: u8, der: &[u8]) -> Option<&[u8]> {
    let [found, length, rest @ ..] = der else { return None };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        _ => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let add = |length: usize, digit: &u8| length.checked_mul(256)?.checked_add(usize::from(*digit));
            (digits.iter().try_fold(0, add)?, rest)
        }
    };
    (*found == tag).then_some(())?;
    rest.get(..length)
}

/// How many bits a number has, leading zeros aside.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize);
    (number.len() - zeros) * 8 - first
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value in DER.
    fn der(tag: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let head = if bytes.len() < 128 { vec![tag, length[1]] } else { vec![tag, 0x82, length[0], length[1]] };
        [head, bytes.to_vec()].concat()
    }

    #[test]
    fn an_rsa_key_has_the_bits_of_its_modulus_however_it_is_written() {
        for (bits, is_weak) in [(512, true), (1024, true), (2040, true), (2047, true), (2048, false), (4096, false)] {
            let mut modulus = vec![0xff; bits / 8];
            if bits % 8 > 0 {
                modulus.insert(0, 0xff >> (8 - bits % 8));
            }
            // DER has a zero before a number whose highest bit is set.
            let padded = [vec![0], modulus.clone()].concat();
            let written = der(SEQUENCE, &[der(INTEGER, &padded), der(INTEGER, &[1, 0, 1])].concat());
            for key in [
                DecodingKey::from_rsa_der(&written),
                DecodingKey::from_rsa_raw_components(&modulus, &[1, 0, 1]),
                DecodingKey::from_rsa_raw_components(&padded, &[1, 0, 1]),
            ] {
                let weakness = weakness(&key);
                assert_eq!(weakness.is_some(), is_weak, "{bits}: {weakness:?}");
                assert!(weakness.is_none_or(|weakness| weakness.contains(&format!("has {bits} bits"))));
            }
        }
        for broken in
            [&[][..], &[SEQUENCE], &[SEQUENCE, 0x85, 1], &[SEQUENCE, 0x88, 255, 255, 255, 255, 255, 255, 255, 255]]
        {
            assert!(weakness(&DecodingKey::from_rsa_der(broken)).is_some(), "{broken:?}");
        }
    }

    #[test]
    fn a_secret_is_as_long_as_its_hash() {
        for (bytes, is_weak) in [(0, true), (31, true), (32, false), (64, false)] {
            assert_eq!(weakness(&DecodingKey::from_secret(&vec![b'x'; bytes])).is_some(), is_weak, "{bytes}");
        }
    }
}
