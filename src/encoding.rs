//! Numbers as bytes.

/// Bytes that are read from the front. A method that finds too few bytes gives `None`, and reads nothing further of use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    /// A number that [`write_leb128`] wrote; `None` also where it takes more than 64 bits.
    #[inline]
    pub(crate) fn leb128(&mut self) -> Option<u64> {
        // Most are small.
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Some((*byte).into())
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.0 = rest;
                Some(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_leb128(),
        }
    }

    fn long_leb128(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << shift;
            if shifted >> shift != bits {
                return None;
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

/// Writes a number with seven bits a byte, the lowest first; the high bit says that there are more (LEB128). 300 is
/// `ac 02`.
pub(crate) fn write_leb128(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The bytes of a number from its first that is not zero on, big-endian. 443 is `01 bb`, and 0 has none.
pub(crate) fn significant(number: u128) -> Vec<u8> {
    number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// The number of big-endian bytes; `None` where they are too many.
pub(crate) fn number(bytes: &[u8]) -> Option<u128> {
    let fits = bytes.len() <= size_of::<u128>();
    fits.then(|| bytes.iter().fold(0, |sum: u128, byte| sum << 8 | u128::from(*byte)))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn numbers_are_written_as_documented() {
        let mut bytes = Vec::new();
        [0, 127, 300, u64::MAX].into_iter().for_each(|number| write_leb128(&mut bytes, number));
        let longest = [&[0xff; 9][..], &[1]].concat();
        assert_eq!(bytes, [&[0, 0x7f, 0xac, 2][..], &longest].concat());
        assert_eq!(Input::new(&[&longest[..9], &[2]].concat()).leb128(), None);
        assert_eq!(Input::new(&[0x80; 11]).leb128(), None);
        assert_eq!(Input::new(&[0x80]).leb128(), None);
        assert_eq!((significant(443), significant(0)), (vec![1, 0xbb], vec![]));
        assert_eq!(number(&[0; 17]), None);
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_were_written(numbers in vec((any::<u64>(), 0u32..64), 0..20), wide in any::<u128>()) {
            let numbers: Vec<u64> = numbers.into_iter().map(|(number, bits)| number >> bits).collect();
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| write_leb128(&mut bytes, *number));
            let mut input = Input::new(&bytes);
            for number in numbers {
                prop_assert_eq!(input.leb128(), Some(number));
            }
            prop_assert_eq!(input.left(), 0);
            prop_assert_eq!(number(&significant(wide)), Some(wide));
        }
    }
}
