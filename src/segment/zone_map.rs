//! Bounds of a whole segment, short enough for a manifest.

use std::sync::Arc;

use crate::{
    encoding::{Input, number, significant},
    filter::Bounds,
    flow::{Field, Kind, Span, ValueRef},
};

/// The version of the form in bytes, which is the first of them.
const VERSION: u8 = 1;
/// A bound that is a text has at most so many bytes, and a few more where it had to be rounded up.
const TEXT_BYTES: usize = 24;
/// The number under which the OR and the AND of the TCP flags are kept, beside those of the fields.
const FLAG_MASKS: usize = 63;

/// The zone map of a segment: for every field the least and the greatest value, and whether some flow has none; and the
/// OR and the AND of the TCP flags. A filter and an order tell by it whether the segment can contribute to an answer,
/// without opening it. The start time and the flow ID are not in it: a manifest has them beside it.
///
/// Numbers, times and addresses are exact. A text of more than 24 bytes is shortened: the least to a prefix, which comes
/// before it, and the greatest to the text after all that begin with its prefix. So a zone map may be wider than the
/// truth, and never narrower. Where the two bounds are equal, they are exact.
///
/// # Its bytes
/// The version (1), then for each field: its number times 4, plus 2 if some flow has no value, plus 1 if some flow has
/// one; in that case the length of the least value and its bytes, and the length of the greatest and its bytes. Of a number
/// the greatest is told as what it is more than the least; numbers are big-endian without leading zeros. A reader passes
/// over the fields that it does not know.
///
/// For example, ports from 80 to 443 in all flows, of field 6: `19 01 50 02 01 6b`.
///
/// ```
/// use flowseek::{Archive, Flow, flow::{Field, ValueRef}};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let mut appender = archive.appender()?;
/// for port in [80, 443] {
///     appender.push(&Flow { dst_port: Some(port), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) })?;
/// }
/// appender.commit()?;
/// let segment = archive.snapshot()?.manifest().segments[0].clone();
/// assert!(segment.zones.is_some());
/// let ports = segment.bounds(Field::DstPort).and_then(|span| span.values);
/// assert_eq!(ports, Some((ValueRef::Number(80), ValueRef::Number(443))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneMap {
    bytes: Arc<[u8]>,
    /// Where the entry of each field begins; 0 where there is none.
    places: [u16; Field::ALL.len()],
    flag_masks: (u8, u8),
}

impl ZoneMap {
    /// The zone map of flows within `bounds`. Nothing is known of it of what `bounds` do not tell.
    pub fn of(bounds: &impl Bounds) -> Self {
        let mut bytes = vec![VERSION];
        let mut places = [0; Field::ALL.len()];
        for (field, place) in Field::all().zip(&mut places) {
            let span = bounds.field(field).filter(|_| !matches!(field, Field::StartTime | Field::FlowId));
            let Some(span) = span else { continue };
            *place = u16::try_from(bytes.len()).unwrap_or(0);
            push(field as usize, span.absent, span.values.and_then(extent), &mut bytes);
        }
        let (any, all) = bounds.flag_masks();
        push(FLAG_MASKS, false, Some((vec![any], vec![all])), &mut bytes);
        Self { bytes: bytes.into(), places, flag_masks: (any, all) }
    }

    /// The zone map with these bytes; `None` where they are none that this version knows.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut input = Input::new(bytes);
        input.byte().filter(|version| *version == VERSION)?;
        let mut places = [0; Field::ALL.len()];
        let mut flag_masks = (u8::MAX, 0);
        while input.left() > 0 {
            let at = u16::try_from(bytes.len() - input.left()).ok()?;
            let entry = Entry::read(&mut input)?;
            if let Some((field, place)) = Field::ALL.get(entry.number).zip(places.get_mut(entry.number)) {
                entry.span(*field)?;
                *place = at;
            } else if entry.number == FLAG_MASKS {
                let (any, all) = entry.extent?;
                flag_masks = (*any.first()?, *all.first()?);
            }
        }
        Some(Self { bytes: bytes.into(), places, flag_masks })
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first field of which `bounds` tell that a flow is not within the zone map; `None` where it is right.
    pub(crate) fn excludes(&self, bounds: &impl Bounds) -> Option<Field> {
        let is_within = |field: Field| {
            let Some((zone, found)) = self.field(field).zip(bounds.field(field)) else { return true };
            let values = found.values.is_none_or(|(least, greatest)| {
                zone.values.is_some_and(|(low, high)| low <= least && greatest <= high)
            });
            values && (zone.absent || !found.absent)
        };
        let ((any, all), (found_any, found_all)) = (self.flag_masks, bounds.flag_masks());
        let flags = found_any & !any == 0 && all & !found_all == 0;
        let wrong = Field::all().find(|field| !is_within(*field));
        wrong.or((!flags && bounds.field(Field::TcpFlags).is_some()).then_some(Field::TcpFlags))
    }
}

impl Bounds for ZoneMap {
    fn field(&self, field: Field) -> Option<Span<'_>> {
        let place = usize::from(*self.places.get(field as usize)?);
        let entry = self.bytes.get(place..).filter(|_| place > 0)?;
        Entry::read(&mut Input::new(entry))?.span(field)
    }

    fn flag_masks(&self) -> (u8, u8) {
        self.flag_masks
    }
}

/// What the bytes have of a field.
struct Entry<'a> {
    number: usize,
    absent: bool,
    extent: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Entry<'a> {
    fn read(input: &mut Input<'a>) -> Option<Self> {
        let tag = input.byte()?;
        let mut value = || {
            let length = input.byte()?;
            input.take(length.into())
        };
        let extent = if tag & 1 == 0 { None } else { Some((value()?, value()?)) };
        Some(Self { number: usize::from(tag >> 2), absent: tag & 2 != 0, extent })
    }

    fn span(&self, field: Field) -> Option<Span<'a>> {
        let values = match (self.extent, field.kind()) {
            (None, _) => None,
            (Some((least, greatest)), Kind::Text) => {
                let text = |bytes| std::str::from_utf8(bytes).ok().map(ValueRef::Text);
                Some((text(least)?, text(greatest)?))
            }
            (Some((least, more)), Kind::Time | Kind::Number | Kind::Address) => {
                let least = number(least)?;
                Some((ValueRef::Number(least), ValueRef::Number(least.checked_add(number(more)?)?)))
            }
        };
        Some(Span { values, absent: self.absent })
    }
}

fn push(number: usize, absent: bool, extent: Option<(Vec<u8>, Vec<u8>)>, out: &mut Vec<u8>) {
    out.push((number << 2) as u8 | u8::from(absent) << 1 | u8::from(extent.is_some()));
    if let Some((least, greatest)) = extent {
        for value in [least, greatest] {
            // A name has at most 255 bytes, and fewer where it is rounded up. An object begins with a letter that has a
            // next one, so that it always can be.
            out.push(value.len() as u8);
            out.extend(value);
        }
    }
}

/// The bytes of a least and a greatest value.
fn extent((least, greatest): (ValueRef<'_>, ValueRef<'_>)) -> Option<(Vec<u8>, Vec<u8>)> {
    match (least, greatest) {
        (ValueRef::Number(least), ValueRef::Number(greatest)) => {
            Some((significant(least), significant(greatest.checked_sub(least)?)))
        }
        (ValueRef::Text(least), ValueRef::Text(greatest)) => {
            Some((prefix(least, TEXT_BYTES).as_bytes().to_vec(), rounded_up(greatest, TEXT_BYTES).into_bytes()))
        }
        _ => None,
    }
}

/// A text that does not come after `text` and has at most so many bytes.
pub(super) fn prefix(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// A text that does not come before `text`, nor before any other with the same prefix, and is short where one is: the
/// prefix, with its last letter that has a next one replaced by that. `node-7...` becomes `node-8`.
///
/// Texts compare as bytes, and UTF-8 keeps the order of the letters' numbers.
pub(super) fn rounded_up(text: &str, bytes: usize) -> String {
    let prefix = prefix(text, bytes);
    if prefix.len() == text.len() {
        return text.to_owned();
    }
    // The range passes over the numbers that are no letters.
    let next = |letter: char| (letter..=char::MAX).nth(1);
    let rounded =
        prefix.char_indices().rev().find_map(|(at, letter)| Some(format!("{}{}", prefix.get(..at)?, next(letter)?)));
    rounded.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::select};

    use super::*;
    use crate::flow::{Flow, FlowId, MAX_TEXT_BYTES, StoredFlow, TcpFlags, Timestamp};

    /// Exact bounds of some flows.
    struct Exact<'a>(&'a [StoredFlow]);

    impl Bounds for Exact<'_> {
        fn field(&self, field: Field) -> Option<Span<'_>> {
            let values = || self.0.iter().filter_map(|flow| flow.value(field));
            let absent = self.0.iter().any(|flow| flow.value(field).is_none());
            Some(Span { values: values().min().zip(values().max()), absent })
        }

        fn flag_masks(&self) -> (u8, u8) {
            let flags = self.0.iter().filter_map(|flow| flow.flow.tcp_flags).map(TcpFlags::bits);
            flags.fold((0, u8::MAX), |(any, all), bits| (any | bits, all & bits))
        }
    }

    /// Names with long prefixes in common, of letters that have no next one, or one of another length.
    fn name() -> impl Strategy<Value = String> {
        let letter = select(vec!['a', 'z', '\u{7f}', '\u{7ff}', '\u{d7ff}', '\u{e000}', '\u{ffff}', char::MAX]);
        let repeated = (letter.clone(), 1usize..64).prop_map(|(letter, times)| letter.to_string().repeat(times));
        (repeated, vec(letter, 0..3)).prop_map(|(mut name, tail)| {
            name.extend(tail);
            while name.len() > MAX_TEXT_BYTES {
                name.pop();
            }
            name
        })
    }

    fn flow() -> impl Strategy<Value = StoredFlow> {
        let numbers = (option::of(any::<u16>()), option::of(any::<u64>()), option::of(any::<u8>()));
        let address = option::of(prop_oneof![
            any::<u32>().prop_map(|bits| std::net::IpAddr::from(bits.to_be_bytes())),
            any::<u128>().prop_map(|bits| std::net::IpAddr::from(bits.to_be_bytes()))
        ]);
        let times = (0i64..1 << 45, option::of(0i64..1 << 45));
        (1u64.., times, numbers, address, option::of(name())).prop_map(|(id, times, numbers, address, name)| {
            let time = |millis| Timestamp::from_millis(millis).unwrap();
            let flow = Flow {
                end_time: times.1.map(time),
                dst_port: numbers.0,
                src_bytes: numbers.1,
                tcp_flags: numbers.2.map(TcpFlags::new),
                src_ip: address.map(Into::into),
                src_node: name,
                ..Flow::starting(time(times.0))
            };
            StoredFlow { id: FlowId::new(id), flow }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn a_zone_map_holds_every_flow_exactly_but_for_long_names(flows in vec(flow(), 1..5)) {
            let exact = Exact(&flows);
            let zones = ZoneMap::of(&exact);
            prop_assert_eq!(ZoneMap::from_bytes(zones.as_bytes()), Some(zones.clone()));
            prop_assert_eq!(zones.excludes(&exact), None);
            prop_assert_eq!(zones.flag_masks(), exact.flag_masks());
            for field in Field::all().filter(|field| !matches!(field, Field::StartTime | Field::FlowId)) {
                let (zone, span) = (zones.field(field).unwrap(), exact.field(field).unwrap());
                prop_assert_eq!(zone.absent, span.absent);
                prop_assert_eq!(zone.values.is_some(), span.values.is_some());
                let Some(((low, high), (least, greatest))) = zone.values.zip(span.values) else { continue };
                prop_assert!(low <= least && greatest <= high);
                let is_short = |value| !matches!(value, ValueRef::Text(text) if text.len() > TEXT_BYTES);
                prop_assert!(!is_short(least) || low == least);
                prop_assert!(!is_short(greatest) || high == greatest);
                // Equal bounds are the one value of all flows: a filter takes them for exact.
                prop_assert!(low != high || (low, high) == (least, greatest));
            }
        }

        #[test]
        fn bytes_of_any_kind_are_a_zone_map_or_none(mut bytes in vec(any::<u8>(), 0..80), flows in vec(flow(), 1..3), at in any::<usize>(), byte in any::<u8>()) {
            bytes.insert(0, VERSION);
            let _ = ZoneMap::from_bytes(&bytes);
            let mut bytes = ZoneMap::of(&Exact(&flows)).as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            if let Some(zones) = ZoneMap::from_bytes(&bytes) {
                let _ = zones.excludes(&Exact(&flows));
            }
        }
    }

    #[test]
    fn a_flow_outside_is_told_by_its_field() {
        let flow = |port: Option<u16>, flags: u8, name: &str| StoredFlow {
            id: FlowId::new(1),
            flow: Flow {
                dst_port: port,
                tcp_flags: Some(TcpFlags::new(flags)),
                src_node: Some(name.to_owned()),
                ..Flow::starting(Timestamp::from_millis(0).unwrap())
            },
        };
        let zones = ZoneMap::of(&Exact(&[flow(Some(80), 3, "b"), flow(Some(443), 1, "d")]));
        let excluded = |one: StoredFlow| zones.excludes(&Exact(&[one]));
        assert_eq!(excluded(flow(Some(100), 1, "c")), None);
        assert_eq!(excluded(flow(Some(79), 1, "c")), Some(Field::DstPort));
        assert_eq!(excluded(flow(Some(444), 1, "c")), Some(Field::DstPort));
        assert_eq!(excluded(flow(None, 1, "c")), Some(Field::DstPort));
        assert_eq!(excluded(flow(Some(80), 2, "c")), Some(Field::TcpFlags));
        assert_eq!(excluded(flow(Some(80), 1, "e")), Some(Field::SrcNode));
    }

    #[test]
    fn its_bytes_are_those_that_are_documented() {
        struct Ports;
        impl Bounds for Ports {
            fn field(&self, field: Field) -> Option<Span<'_>> {
                let ports = (ValueRef::Number(80), ValueRef::Number(443));
                (field == Field::SrcPort).then_some(Span { values: Some(ports), absent: false })
            }

            fn flag_masks(&self) -> (u8, u8) {
                (0x12, 0x02)
            }
        }
        let bytes = [1, 0x19, 0x01, 0x50, 0x02, 0x01, 0x6b, 0xfd, 0x01, 0x12, 0x01, 0x02];
        assert_eq!(ZoneMap::of(&Ports).as_bytes(), bytes);
        // What a later version knows more of a segment is passed over.
        let later = [bytes.as_slice(), &[40 << 2 | 3, 1, 9, 2, 9, 9]].concat();
        let zones = ZoneMap::from_bytes(&later).unwrap();
        assert_eq!((zones.field(Field::SrcPort), zones.flag_masks()), (Ports.field(Field::SrcPort), (0x12, 0x02)));
        assert_eq!(zones.field(Field::DstPort), None);
        assert_eq!(ZoneMap::from_bytes(&[2, 0x19, 0x01, 0x50, 0x02, 0x01, 0x6b]), None);
    }

    #[test]
    fn long_names_are_rounded_where_they_can_be() {
        let long = |tail: &str| format!("{}{tail}", "n".repeat(20));
        assert_eq!(prefix(&long("abcdefgh"), TEXT_BYTES), long("abcd"));
        let rounded_up = |text: &str| super::rounded_up(text, TEXT_BYTES);
        assert_eq!(rounded_up(&long("abcdefgh")), long("abce"));
        assert_eq!(rounded_up(&long("abcd")), long("abcd"));
        assert_eq!(rounded_up(&long("\u{10ffff}x")), format!("{}o", "n".repeat(19)));
        assert_eq!(rounded_up(&"\u{10ffff}".repeat(8)), "\u{10ffff}".repeat(8));
        assert_eq!(rounded_up(&"\u{d7ff}".repeat(9)), format!("{}\u{e000}", "\u{d7ff}".repeat(7)));
    }
}
