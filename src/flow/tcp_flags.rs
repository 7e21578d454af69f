//! TCP flags.

use std::fmt;

/// The TCP flags of a flow, ORed over its packets: one bit each, as in the TCP header (RFC 9293, section 3.1).
///
/// ```
/// use flowseek::flow::TcpFlags;
///
/// assert_eq!(TcpFlags::new(0b0010_0001).to_string(), "00100001"); // URG+FIN
/// assert_eq!(TcpFlags::from_name("syn"), Some(TcpFlags::new(2)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// The names of the flags, from bit 0 on.
    pub const NAMES: [&'static str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

    /// The flags with these bits.
    pub const fn new(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The one flag of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let bit = Self::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        Some(Self(1 << bit))
    }

    /// Whether every flag of `mask` is set.
    pub const fn contains(self, mask: Self) -> bool {
        self.0 & mask.0 == mask.0
    }
}

/// Eight binary digits, bit 7 first.
impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08b}", self.0)
    }
}
