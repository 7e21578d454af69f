//! Damage at random, the same for the same seed.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What programs stumble over where a number stands in text.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "4294967295",
    "2147483648",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "1e-400",
    "0.000000000000000000000000000001",
];

/// Damages inputs.
pub struct Mutator(ChaCha8Rng);

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number less than `count`.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }

    /// One of the inputs, damaged in a few places.
    pub fn damaged(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = inputs[self.below(inputs.len())].clone();
        for _ in 0..1 + self.below(3) {
            match self.below(5) {
                0 => self.damage_text(&mut bytes),
                _ => self.damage_bytes(&mut bytes, inputs),
            }
        }
        bytes
    }

    /// A file of which mostly the end is damaged: a few bytes there say what all the others mean.
    pub fn damaged_tail(&mut self, whole: &[u8]) -> Vec<u8> {
        let tail = [whole.len(), whole.len() / 2, 4000, 400][self.below(4)].min(whole.len());
        let (head, tail) = whole.split_at(whole.len() - tail);
        let mut tail = tail.to_vec();
        if self.below(2) == 0 {
            // One bit: the rest is still what it was.
            let (at, bit) = (self.below(tail.len()), 1 << self.below(8));
            tail[at] ^= bit;
        } else {
            tail = self.damaged(&[tail]);
        }
        [head, &tail].concat()
    }

    /// A file of which numbers of 2 or 4 bytes, at even places, are inflated: most lengths and counts are such.
    pub fn damaged_lengths(&mut self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..1 + self.below(4) {
            let most = [64, 512, bytes.len()][self.below(3)].min(bytes.len());
            let at = self.below(most) & !1;
            let number = [0x7f, 0x1000, 0xffff, 5 << 20, 0x7fff_ffff, u32::MAX][self.below(6)].to_le_bytes();
            let width = [2, 4][self.below(2)];
            bytes.iter_mut().skip(at).zip(&number[..width]).for_each(|(byte, new)| *byte = *new);
        }
        bytes
    }

    /// One of the texts, damaged in a few places, mostly in its numbers.
    pub fn damaged_text(&mut self, texts: &[Vec<u8>]) -> Vec<u8> {
        let mut text = texts[self.below(texts.len())].clone();
        for _ in 0..1 + self.below(3) {
            match self.below(4) {
                0 => self.damage_bytes(&mut text, texts),
                _ => self.damage_text(&mut text),
            }
        }
        text
    }

    /// Some lines of the texts, many of them damaged.
    pub fn damaged_lines(&mut self, texts: &[Vec<u8>]) -> Vec<u8> {
        let text = texts[self.below(texts.len())].clone();
        let mut lines: Vec<Vec<u8>> = text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let other = &texts[self.below(texts.len())];
        let strange = other.split_inclusive(|byte| *byte == b'\n').take(20).map(<[u8]>::to_vec);
        lines.truncate(60);
        lines.extend(strange.filter(|_| self.0.random_range(0..10) == 0).collect::<Vec<_>>());
        for _ in 0..1 + self.below(20) {
            let line = self.below(lines.len());
            lines[line] = self.damaged_text(&[lines[line].clone()]);
            if self.below(4) == 0 {
                let other = self.below(lines.len());
                lines.swap(line, other);
            }
        }
        lines.concat()
    }

    /// A range of `bytes`, mostly short.
    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        let most = [4, 64, bytes.len()][self.below(3)];
        let length = self.below(most + 1).min(bytes.len() - start);
        start..start + length
    }

    fn damage_bytes(&mut self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        let at = self.below(bytes.len().max(1));
        let range = self.range(bytes);
        match self.below(9) {
            0..2 => {
                let bit = 1 << self.below(8);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
            }
            2 => {
                let value = [0, 1, 0x7f, 0x80, 0xff][self.below(5)];
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = value);
            }
            3 => {
                let number = [0, 1 << 31, u64::from(u32::MAX), 1 << 40, 1 << 63, u64::MAX][self.below(6)];
                let width = [2, 4, 8][self.below(3)];
                let number = if self.below(2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
                bytes.iter_mut().skip(at).zip(&number[..width]).for_each(|(byte, new)| *byte = *new);
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(range)),
            6 => {
                let copy = bytes[range].to_vec();
                bytes.splice(at..at, copy);
            }
            7 => {
                let other = &others[self.below(others.len())];
                let piece = other[self.range(other)].to_vec();
                bytes.splice(range, piece);
            }
            _ => {
                let mut noise = vec![0; self.below(24)];
                self.0.fill_bytes(&mut noise);
                bytes.splice(at..at, noise);
            }
        }
    }

    /// Puts a number where one is, a character that means something, or a long run of one.
    fn damage_text(&mut self, text: &mut Vec<u8>) {
        let at = self.below(text.len() + 1);
        match self.below(4) {
            0 | 1 => {
                let digits = |byte: &u8| byte.is_ascii_digit();
                let Some(start) = text.iter().skip(at).position(digits).map(|found| at + found) else { return };
                let length = text[start..].iter().take_while(|byte| digits(byte)).count();
                let number = NUMBERS[self.below(NUMBERS.len())].bytes();
                text.splice(start..start + length, number);
            }
            2 => {
                let characters = b"\"\\{}[],:;&=%+-./\t\n\r\0#x \xc3\xbf";
                let character = characters[self.below(characters.len())];
                text.insert(at, character);
            }
            _ => {
                let character = b"[{\"\\9 ,&a"[self.below(9)];
                let length = [40, 300, 5000][self.below(3)];
                text.splice(at..at, std::iter::repeat_n(character, length));
            }
        }
    }
}
