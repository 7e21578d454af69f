//! The values of one record.

use super::element::{HOSTS, Host, NUMBERS, Number};
use crate::flow::Address;

/// What a record says, as far as it is known here. It is used for one record after the other.
#[derive(Debug)]
pub(super) struct Values {
    numbers: [u64; NUMBERS],
    /// A bit for each number that is there.
    has: u64,
    hosts: [Option<Address>; HOSTS],
}

impl Default for Values {
    fn default() -> Self {
        Self { numbers: [0; NUMBERS], has: 0, hosts: [None; HOSTS] }
    }
}

impl Values {
    pub(super) fn clear(&mut self) {
        self.has = 0;
        self.hosts = [None; HOSTS];
    }

    pub(super) fn get(&self, number: Number) -> Option<u64> {
        if self.has & (1 << number as u8) == 0 { None } else { self.numbers.get(number as usize).copied() }
    }

    /// The first of some numbers that is there.
    pub(super) fn first(&self, numbers: &[Number]) -> Option<u64> {
        numbers.iter().find_map(|number| self.get(*number))
    }

    /// One of two addresses: the one that is there and not 0, as exporters write the one that a flow does not have.
    pub(super) fn address(&self, v4: Host, v6: Host) -> Option<Address> {
        let host = |host: Host| self.hosts.get(host as usize).copied().flatten();
        match (host(v4), host(v6)) {
            (Some(v4), Some(v6)) if v4.to_ip().is_unspecified() => Some(v6),
            (v4, v6) => v4.or(v6),
        }
    }

    /// Takes a number of at most 8 bytes, most significant first. The first of its kind counts.
    pub(super) fn set_number(&mut self, number: Number, bytes: &[u8]) {
        let bit = 1 << number as u8;
        if self.has & bit == 0
            && bytes.len() <= 8
            && let Some(place) = self.numbers.get_mut(number as usize)
        {
            *place = bytes.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
            self.has |= bit;
        }
    }

    /// Takes an address of 4 or 16 bytes. The first of its kind counts.
    pub(super) fn set_address(&mut self, host: Host, bytes: &[u8]) {
        let Some(place) = self.hosts.get_mut(host as usize) else { return };
        let address = match bytes.first_chunk::<16>() {
            Some(v6) => Some(Address::from_bytes(*v6)),
            None => bytes.first_chunk::<4>().map(|v4| std::net::IpAddr::from(*v4).into()),
        };
        *place = place.or(address);
    }
}
