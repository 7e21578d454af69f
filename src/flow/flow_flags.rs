//! Flow flags.

use std::fmt;

/// What the logging node says of a flow as a whole: one bit each.
///
/// ```
/// use flowseek::flow::FlowFlags;
///
/// let flags = FlowFlags::new(65_536 | 1);
/// assert!(FlowFlags::DEFUNCT.iter().any(|defunct| flags.contains(*defunct)));
/// assert_eq!(flags.to_string(), "65537");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowFlags(u64);

impl FlowFlags {
    /// The flags of a flow that could not be carried: no ACL match, no rule match, no route, invalid TCP, certificate
    /// expired, certificate of another name, certificate self-signed, mutual TLS needed.
    pub const DEFUNCT: &'static [Self] = &[
        Self(1 << 16),
        Self(1 << 17),
        Self(1 << 18),
        Self(1 << 19),
        Self(1 << 26),
        Self(1 << 27),
        Self(1 << 28),
        Self(1 << 29),
    ];

    /// The flags with these bits.
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether every flag of `mask` is set.
    pub const fn contains(self, mask: Self) -> bool {
        self.0 & mask.0 == mask.0
    }
}

/// A decimal number.
impl fmt::Display for FlowFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
