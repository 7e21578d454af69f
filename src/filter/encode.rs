//! A filter as bytes, of which a cursor holds the hash.

use super::{Filter, Set, Test};

impl Filter {
    /// Bytes that are equal just for equal normal forms, the same in every patch version: a cursor holds their hash.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut left = vec![self];
        while let Some(filter) = left.pop() {
            match filter {
                Self::Test(test) => test.encode(out),
                Self::And(parts) | Self::Or(parts) => {
                    out.push(if matches!(filter, Self::And(_)) { b'&' } else { b'|' });
                    encode_number(parts.len() as u128, out);
                    left.extend(parts.iter().rev());
                }
                Self::Not(part) => {
                    out.push(b'!');
                    left.push(part);
                }
            }
        }
    }
}

fn encode_number(number: u128, out: &mut Vec<u8>) {
    out.extend(number.to_le_bytes());
}

impl Test {
    fn encode(&self, out: &mut Vec<u8>) {
        let name = self.operand.name();
        out.push(if self.absent { b'~' } else { b'=' });
        encode_number(name.len() as u128, out);
        out.extend(name.bytes());
        match &self.set {
            Set::Numbers(ranges) => {
                out.push(b'n');
                encode_number(ranges.as_slice().len() as u128, out);
                for &(first, last) in ranges.as_slice() {
                    encode_number(first, out);
                    encode_number(last, out);
                }
            }
            Set::Texts { texts, listed } => {
                out.push(if *listed { b't' } else { b'T' });
                encode_number(texts.len() as u128, out);
                for text in texts.iter() {
                    encode_number(text.len() as u128, out);
                    out.extend(text.bytes());
                }
            }
            Set::Flags { masks, carried } => {
                out.push(if *carried { b'f' } else { b'F' });
                encode_number(masks.len() as u128, out);
                // In as many bytes as a value of the field has.
                let bytes = (u128::BITS - self.operand.greatest().leading_zeros()).div_ceil(8) as usize;
                masks.iter().for_each(|mask| out.extend(mask.to_le_bytes().iter().take(bytes)));
            }
            Set::Patterns { patterns, matched } => {
                out.push(if *matched { b'p' } else { b'P' });
                encode_number(patterns.len() as u128, out);
                for pattern in patterns {
                    let pattern = pattern.to_string();
                    encode_number(pattern.len() as u128, out);
                    out.extend(pattern.bytes());
                }
            }
        }
    }
}
