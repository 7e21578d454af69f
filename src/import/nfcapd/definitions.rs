//! What records define for those that follow them in a file.

use std::{collections::HashMap, sync::Arc};

use super::{
    extension_map::ExtensionMap,
    fields::{ipv4_at, ipv6_at, u16_at},
};
use crate::flow::Address;

/// The type of a record that says where the fields of others are.
pub(super) const EXTENSION_MAP: u16 = 2;
/// The type of a record that describes an exporter.
pub(super) const EXPORTER: u16 = 7;

/// The family of IPv4 addresses, `AF_INET`, on every system.
const IPV4: u16 = 2;

/// Extension maps by their number, and addresses of exporters by theirs. A copy is cheap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Definitions {
    maps: Arc<HashMap<u16, ExtensionMap>>,
    exporters: Arc<HashMap<u16, Address>>,
}

impl Definitions {
    /// Adds what a record defines; most records define nothing. A later definition takes the place of an earlier one.
    pub(super) fn add(&mut self, kind: u16, record: &[u8]) {
        match kind {
            EXTENSION_MAP => {
                if let Some((number, map)) = ExtensionMap::read(record)
                    && self.maps.get(&number) != Some(&map)
                {
                    Arc::make_mut(&mut self.maps).insert(number, map);
                }
            }
            EXPORTER => {
                if let Some((number, address)) = exporter(record)
                    && self.exporters.get(&number) != Some(&address)
                {
                    Arc::make_mut(&mut self.exporters).insert(number, address);
                }
            }
            _ => {}
        }
    }

    pub(super) fn map(&self, number: u16) -> Option<&ExtensionMap> {
        self.maps.get(&number)
    }

    pub(super) fn exporter(&self, number: u16) -> Option<Address> {
        self.exporters.get(&number).copied()
    }
}

/// The number of an exporter, and its address.
fn exporter(record: &[u8]) -> Option<(u16, Address)> {
    let address = match u16_at(record, 24)? {
        IPV4 => ipv4_at(record, 16),
        _ => ipv6_at(record, 8),
    };
    Some((u16_at(record, 26)?, address?))
}
