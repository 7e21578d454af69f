//! Numbers and addresses at places in a record.

use std::net::{IpAddr, Ipv4Addr};

use crate::flow::Address;

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

pub(super) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

pub(super) fn ipv4_at(bytes: &[u8], at: usize) -> Option<Address> {
    u32_at(bytes, at).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)).into())
}

pub(super) fn ipv6_at(bytes: &[u8], at: usize) -> Option<Address> {
    let (high, low) = (u64_at(bytes, at)?, u64_at(bytes, at + 8)?);
    Some(Address::from_bits(u128::from(high) << 64 | u128::from(low)))
}
