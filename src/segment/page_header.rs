//! How long a page is, by its header: a struct of Thrift's compact protocol, of which only one field matters.

/// The field of a page header that says how many bytes follow on it.
const COMPRESSED_SIZE: i16 = 3;
/// No header nests deeper.
const MOST_DEPTH: usize = 4;

/// How many bytes the page has that `bytes` begin with, its header included. `None` where there is none.
pub(super) fn page_length(bytes: &[u8]) -> Option<usize> {
    let mut input = Input(bytes);
    let size = input.structure(0)?;
    let header = bytes.len() - input.0.len();
    usize::try_from(size?).ok()?.checked_add(header)
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    /// Passes a struct; the number in its field of the size, where it has one.
    fn structure(&mut self, depth: usize) -> Option<Option<i64>> {
        let (mut field, mut size) = (0i16, None);
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(size);
            }
            field = match head >> 4 {
                0 => i16::try_from(self.signed()?).ok()?,
                step => field.checked_add(i16::from(step))?,
            };
            match head & 15 {
                // A truth value lies in its type.
                1 | 2 => {}
                5 if field == COMPRESSED_SIZE => size = Some(self.signed()?),
                other => self.value(other, depth)?,
            }
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            3 => self.pass(1),
            4..=6 => self.signed().map(drop),
            7 => self.pass(8),
            8 => {
                let length = usize::try_from(self.unsigned()?).ok()?;
                self.pass(length)
            }
            12 if depth < MOST_DEPTH => self.structure(depth + 1).map(drop),
            // Headers have no lists, sets or maps.
            _ => None,
        }
    }

    fn pass(&mut self, length: usize) -> Option<()> {
        self.0 = self.0.get(length..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// Seven bits a byte, the lowest first; the high bit says that there are more.
    fn unsigned(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// The sign is in the lowest bit.
    fn signed(&mut self) -> Option<i64> {
        self.unsigned().map(|number| (number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }
}
