//! IP protocol numbers.

use std::fmt;

/// An IP protocol by its number in the IANA registry "Assigned Internet Protocol Numbers"; 255 where it is unknown.
///
/// ```
/// use flowseek::flow::Protocol;
///
/// assert_eq!(Protocol::from_name("tcp"), Some(Protocol::TCP));
/// assert_eq!(Protocol::new(47).name(), "UNKNOWN"); // the endpoint names three
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Protocol(u8);

impl Protocol {
    /// Internet Control Message Protocol, 1.
    pub const ICMP: Self = Self(1);
    /// Transmission Control Protocol, 6.
    pub const TCP: Self = Self(6);
    /// User Datagram Protocol, 17.
    pub const UDP: Self = Self(17);
    /// No protocol is known; 255 is reserved by IANA.
    pub const UNKNOWN: Self = Self(255);

    /// The protocols that the endpoint names.
    pub const NAMED: [Self; 3] = [Self::TCP, Self::UDP, Self::ICMP];

    /// The protocol with this number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// `TCP`, `UDP`, `ICMP`, and `UNKNOWN` for every other.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TCP => "TCP",
            Self::UDP => "UDP",
            Self::ICMP => "ICMP",
            _ => "UNKNOWN",
        }
    }

    /// The protocol with this name, in any case; `None` for a name that the endpoint does not know.
    pub fn from_name(name: &str) -> Option<Self> {
        let named = Self::NAMED.into_iter().chain([Self::UNKNOWN]);
        named.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
