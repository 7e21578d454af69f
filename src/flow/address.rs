//! Addresses of both families in one order.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net};

use crate::error::ParseError;

/// The bits that all IPv4-mapped addresses have in common.
const MAPPED_PREFIX: u8 = 96;

/// An IP address in its 16-byte form (IPv4 as `::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2), ordered as those bytes.
///
/// ```
/// use flowseek::flow::Address;
///
/// let mapped: Address = "::ffff:192.0.2.1".parse()?;
/// assert_eq!(mapped, "192.0.2.1".parse()?);
/// assert_eq!(mapped.to_string(), "192.0.2.1");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(u128);

impl Address {
    /// The address with these 16 bytes, most significant first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The 16 bytes, most significant first.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The address with this number as its 16 bytes.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The 16 bytes as one number, in address order.
    pub const fn to_bits(self) -> u128 {
        self.0
    }

    /// The address in its own family: an IPv4-mapped one is IPv4.
    pub fn to_ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self.0).to_canonical()
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self(v4.to_ipv6_mapped().to_bits()),
            IpAddr::V6(v6) => Self(v6.to_bits()),
        }
    }
}

impl FromStr for Address {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let ip: Result<IpAddr, _> = text.parse();
        ip.map(Self::from).map_err(|_| ParseError::new(format!("{text:?} is not an IPv4 or IPv6 address")))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// All addresses from `first` to `last`, both included; `first <= last`.
///
/// It is read from an address or a CIDR block, whose host bits are masked off. As addresses are ordered in their
/// 16-byte form, `::/0` holds the IPv4 addresses too, and `0.0.0.0/0` all of them and nothing else. `::ffff:10.0.0.0/104` is
/// `10.0.0.0/8`; a mapped block shorter than /96 is an error.
///
/// ```
/// use flowseek::flow::AddressRange;
///
/// let net: AddressRange = "10.1.2.3/8".parse()?;
/// assert_eq!(net.first().to_string(), "10.0.0.0");
/// assert_eq!(net.last().to_string(), "10.255.255.255");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressRange {
    first: Address,
    last: Address,
}

impl AddressRange {
    /// The first address.
    pub fn first(self) -> Address {
        self.first
    }

    /// The last address.
    pub fn last(self) -> Address {
        self.last
    }
}

impl From<Address> for AddressRange {
    fn from(address: Address) -> Self {
        Self { first: address, last: address }
    }
}

impl From<IpNet> for AddressRange {
    fn from(net: IpNet) -> Self {
        Self { first: net.network().into(), last: net.broadcast().into() }
    }
}

impl FromStr for AddressRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let Some((host, prefix)) = text.split_once('/') else {
            return text.parse::<Address>().map(Self::from);
        };
        let reason = || match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => {
                format!("{prefix:?} in {text:?} is not a prefix length from 0 to 32")
            }
            Ok(IpAddr::V6(_)) => {
                format!("{prefix:?} in {text:?} is not a prefix length from 0 to 128")
            }
            Err(_) => format!("{host:?} in {text:?} is not an IPv4 or IPv6 address"),
        };
        let net: IpNet = text.parse().map_err(|_| ParseError::new(reason()))?;
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`: the mapped form needs no case of its own, the bytes are the same.
        unless_beyond_ipv4(text, net).map(Self::from).map_err(ParseError::new)
    }
}

/// An IPv4-mapped block shorter than /96 would hold every IPv4 address and much of IPv6: nobody means that.
fn unless_beyond_ipv4(text: &str, net: IpNet) -> Result<IpNet, String> {
    let IpNet::V6(block) = net else { return Ok(net) };
    let Some(host) = block.addr().to_ipv4_mapped().filter(|_| block.prefix_len() < MAPPED_PREFIX) else {
        return Ok(net);
    };
    let what = format!("{text:?} reaches beyond the IPv4 addresses; an IPv4-mapped block has a prefix from 96 to 128");
    let Ok(meant) = Ipv4Net::new(host, block.prefix_len()) else { return Err(what) };
    let meant = meant.trunc();
    let mapped = block.prefix_len() + MAPPED_PREFIX;
    Err(format!("{what}; did you mean {meant}, which is ::ffff:{}/{mapped}?", meant.addr()))
}

impl From<Ipv4Net> for AddressRange {
    fn from(net: Ipv4Net) -> Self {
        IpNet::V4(net).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_block_is_one_of_ipv4_or_an_error_that_names_it() {
        let range = |text: &str| text.parse::<AddressRange>();
        for prefix in 0..=32u8 {
            let (v4, mapped) = (format!("10.1.2.3/{prefix}"), format!("::ffff:10.1.2.3/{}", prefix + 96));
            assert_eq!(range(&mapped), range(&v4), "{mapped}");
            let error = range(&format!("::ffff:10.1.2.3/{prefix}")).unwrap_err().to_string();
            let network = range(&v4).unwrap().first();
            assert!(error.contains(&format!("did you mean {network}/{prefix}, which is ::ffff:{network}/")), "{error}");
            assert_eq!(range(error.rsplit(' ').next().unwrap().trim_end_matches('?')), range(&v4), "{error}");
        }
        for prefix in 33..96 {
            let error = range(&format!("::ffff:a01:203/{prefix}")).unwrap_err().to_string();
            assert!(error.ends_with("an IPv4-mapped block has a prefix from 96 to 128"), "{error}");
        }
        for text in ["::/0", "::/95", "::fffe:0:0/95", "2001:db8::/32", "0.0.0.0/0", "64:ff9b::10.0.0.0/96"] {
            assert!(range(text).is_ok(), "{text}");
        }
    }
}
