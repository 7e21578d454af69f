//! Who talks: hosts inside, with their nodes, and addresses outside.

use super::draw::{Draw, scramble};
use crate::flow::Address;

/// How many nodes there are.
const NODES: u64 = 200;
/// 4,096 hosts inside.
const INTERNAL_BITS: u8 = 12;
/// 2,097,152 IPv4 addresses outside.
const EXTERNAL_BITS: u8 = 21;
/// 65,536 IPv6 addresses outside.
const EXTERNAL_V6_BITS: u8 = 16;

/// One end of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) address: Address,
    /// The number of its node; `None` outside.
    node: Option<u64>,
}

impl Host {
    /// One of the hosts inside.
    pub(super) fn internal(draw: &mut Draw) -> Self {
        let rank = draw.rank(INTERNAL_BITS);
        let scrambled = scramble(u64::from(rank) + 1);
        // Multiplying by an odd number keeps 24 bits apart.
        let bits = 0x0a00_0000 | ((rank + 1).wrapping_mul(0x9e_3779) & 0x00ff_ffff);
        Self { address: v4(bits), node: Some(scrambled % NODES) }
    }

    /// One of the addresses outside.
    pub(super) fn external(draw: &mut Draw) -> Self {
        // IPv6 is one in 16 of the four fifths of the flows that have an end outside: 5 % of all.
        let address = if draw.below(16) == 0 { external_v6(draw) } else { external_v4(draw) };
        Self { address, node: None }
    }

    /// The host as it talks to `other`: by IPv6 where the other does.
    pub(super) fn facing(self, other: Self) -> Self {
        match (self.is_v6(), other.is_v6()) {
            (false, true) => Self { address: unique_local(self.address), ..self },
            _ => self,
        }
    }

    /// Whether its address is IPv6.
    pub(super) fn is_v6(self) -> bool {
        self.address.to_ip().is_ipv6()
    }

    /// The name of its node.
    pub(super) fn node_name(self) -> Option<String> {
        self.node.map(|node| format!("node-{node:03}"))
    }

    /// The ID of its node.
    pub(super) fn node_id(self) -> Option<String> {
        self.node.map(|node| format!("{:016x}", scramble(node + (1 << 40))))
    }
}

fn external_v4(draw: &mut Draw) -> Address {
    let scrambled = scramble(u64::from(draw.rank(EXTERNAL_BITS)) + (1 << 32));
    let [first, second, third, fourth, ..] = scrambled.to_le_bytes();
    // Unicast addresses of no special use: not 0/8, 10/8, 127/8, 169.254/16, 172.16/12, 192.168/16 or from 224 on.
    let first = match first % 224 {
        0 | 10 => 23,
        127 => 104,
        169 | 172 => 142,
        192 => 185,
        other => other,
    };
    v4(u32::from_be_bytes([first, second, third, fourth]))
}

fn external_v6(draw: &mut Draw) -> Address {
    let rank = u64::from(draw.rank(EXTERNAL_V6_BITS));
    // 64 ranks share a network of 48 bits within 2000::/3.
    let network = u128::from(scramble((rank >> 6) + (1 << 33)) >> 16) & 0x1fff_ffff_ffff | 0x2000_0000_0000;
    Address::from_bits(network << 80 | u128::from(scramble(rank + (1 << 34))))
}

/// The address in fd00::/8 (RFC 4193) of the host with this IPv4 address.
fn unique_local(address: Address) -> Address {
    Address::from_bits(0xfd52_1c0a_97e4_0001 << 64 | address.to_bits() & 0xffff_ffff)
}

fn v4(bits: u32) -> Address {
    Address::from_bits(0xffff_0000_0000 | u128::from(bits))
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, net::IpAddr};

    use super::*;

    #[test]
    fn internal_hosts_are_private_and_external_ones_are_not() {
        let mut draw = Draw::new(0, 0);
        let mut nodes = HashSet::new();
        for _ in 0..20_000 {
            let inside = Host::internal(&mut draw);
            assert!(inside.address.to_string().starts_with("10."), "{inside:?}");
            nodes.insert((inside.node_name().unwrap(), inside.node_id().unwrap()));
            let outside = Host::external(&mut draw);
            assert!(outside.node_name().is_none());
            match outside.address.to_ip() {
                IpAddr::V4(ip) => assert!(!ip.is_private() && !ip.is_loopback() && !ip.is_multicast(), "{ip}"),
                IpAddr::V6(ip) => assert!((0x2000..0x4000).contains(&ip.segments()[0]), "{ip}"),
            }
        }
        assert_eq!(nodes.len(), 200);
    }
}
