//! Values of the columns that revision 1 of the format added.

use super::draw::Draw;
use crate::flow::{Flow, FlowFlags};

/// Flow flags in a thousand flows: none mostly, no ACL match, no rule match, no route, invalid TCP, an expired certificate,
/// one of another name.
const FLAGS: [(u32, u64); 8] =
    [(900, 0), (30, 1), (40, 1 << 16), (10, 1 << 17), (10, 1 << 18), (6, 1 << 19), (2, 1 << 26), (2, 1 << 27)];

/// The names of zones in `meta`, in a hundred flows.
const ZONES: [(u32, &str); 4] = [(10, "dmz"), (60, "office"), (20, "plant"), (10, "guests")];

/// Gives a flow packets, and flow flags and meta as most nodes log them.
pub(super) fn fill(flow: &mut Flow, draw: &mut Draw) {
    flow.src_packets = flow.src_bytes.map(|bytes| packets(bytes, draw));
    flow.dst_packets = flow.dst_bytes.map(|bytes| packets(bytes, draw));
    let flags = draw.weighted(&FLAGS);
    flow.flow_flags = draw.per_mille(950).then_some(FlowFlags::new(flags));
    if draw.per_mille(100) {
        let rule = draw.rank(8);
        let zone = draw.weighted(&ZONES);
        flow.meta = format!("{{\"rule\":{rule},\"zone\":\"{zone}\"}}").parse().ok();
    }
}

/// As many packets of 60 to 1,459 bytes as carry so many bytes.
fn packets(bytes: u64, draw: &mut Draw) -> u64 {
    bytes.div_ceil(60 + u64::from(draw.below(1400)))
}
