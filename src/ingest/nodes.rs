//! Names of nodes by their addresses.

use std::{collections::HashMap, str::FromStr};

use crate::{
    error::ParseError,
    flow::{Address, AddressRange, Field, Flow},
    schema::check_text,
};

/// Names of nodes by blocks of addresses: of an address, the name of the smallest block that it lies in.
///
/// Its text has a block and a name in each line, with blanks or a comma between. What follows a `#` at the beginning of a line, or after a
/// blank, is passed over.
///
/// ```
/// use flowseek::ingest::NodeMap;
///
/// let nodes: NodeMap = "
///     10.0.0.0/8      head office    # and all other sites
///     10.7.0.0/16     edge-7
///     2001:db8::/32,  edge-7
/// ".parse()?;
/// assert_eq!(nodes.name("10.7.1.2".parse()?), Some("edge-7"));
/// assert_eq!(nodes.name("10.8.1.2".parse()?), Some("head office"));
/// assert_eq!(nodes.name("192.0.2.1".parse()?), None);
/// let error = "10.0.0.0/33 edge-1".parse::<NodeMap>().unwrap_err();
/// assert!(error.to_string().starts_with("line 1: "));
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeMap {
    /// Of each length of a prefix, the longest first, the names by the first addresses of their blocks.
    lengths: Vec<(u32, HashMap<u128, String>)>,
}

impl NodeMap {
    /// The name of the node with an address.
    pub fn name(&self, address: Address) -> Option<&str> {
        let bits = address.to_bits();
        self.lengths.iter().find_map(|(length, names)| names.get(&first_of(bits, *length))).map(String::as_str)
    }

    /// Names the nodes of a flow that are not named, by the addresses of its ends.
    pub(super) fn complete(&self, flow: &mut Flow) {
        for (address, node) in [(flow.src_ip, &mut flow.src_node), (flow.dst_ip, &mut flow.dst_node)] {
            if node.is_none() {
                *node = address.and_then(|address| self.name(address)).map(str::to_owned);
            }
        }
    }

    fn insert(&mut self, block: AddressRange, name: &str) -> Result<(), String> {
        let first = block.first().to_bits();
        let length = (first ^ block.last().to_bits()).leading_zeros();
        let place = match self.lengths.iter().position(|(known, _)| *known <= length) {
            Some(place) => place,
            None => self.lengths.len(),
        };
        if self.lengths.get(place).is_none_or(|(known, _)| *known != length) {
            self.lengths.insert(place, (length, HashMap::new()));
        }
        let Some((_, names)) = self.lengths.get_mut(place) else { return Ok(()) };
        let known = names.entry(first).or_insert_with(|| name.to_owned());
        if known == name { Ok(()) } else { Err(format!("the block has the name {known:?} already")) }
    }
}

/// The first address of the block of so many bits that an address lies in.
fn first_of(bits: u128, length: u32) -> u128 {
    bits & u128::MAX.checked_shl(u128::BITS - length).unwrap_or(0)
}

impl FromStr for NodeMap {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut map = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split_once(" #").map_or(line, |(line, _)| line).trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |reason: String| ParseError::new(format!("line {number}: {reason}"));
            let (block, name) = line
                .split_once([' ', '\t', ','])
                .ok_or_else(|| wrong("a block and a name are wanted, such as `10.0.0.0/8 edge-1`".to_owned()))?;
            let block: AddressRange = block.parse().map_err(|reason| wrong(format!("{reason}")))?;
            let name = name.trim_start_matches([' ', '\t', ',']);
            check_text(Field::SrcNode, Some(name)).map_err(|error| wrong(error.to_string()))?;
            map.insert(block, name).map_err(wrong)?;
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn the_longest_prefix_gives_the_name(
            blocks in vec((0u8..4, 0u32..=8), 1..12),
            address in any::<[u8; 2]>(),
        ) {
            let blocks: Vec<(AddressRange, String)> = blocks
                .into_iter()
                .map(|(byte, length)| (format!("10.{byte}.0.0/{}", 8 + length * 3), byte, length))
                .filter_map(|(text, byte, length)| Some((text.parse().ok()?, format!("{byte}/{length}"))))
                .collect();
            let mut map = NodeMap::default();
            let kept: Vec<_> = blocks.into_iter().filter(|(block, name)| map.insert(*block, name).is_ok()).collect();
            let address: Address = format!("10.{}.{}.9", address[0] % 5, address[1]).parse().unwrap();
            let size = |block: &AddressRange| block.last().to_bits() - block.first().to_bits();
            let within = |block: &AddressRange| block.first() <= address && address <= block.last();
            let smallest = kept.iter().filter(|(block, _)| within(block)).map(|(block, _)| size(block)).min();
            let names: Vec<&str> = kept
                .iter()
                .filter(|(block, _)| within(block) && Some(size(block)) == smallest)
                .map(|(_, name)| name.as_str())
                .collect();
            prop_assert_eq!(map.name(address).is_some(), !names.is_empty());
            prop_assert!(map.name(address).is_none_or(|name| names.contains(&name)));
        }
    }
}
