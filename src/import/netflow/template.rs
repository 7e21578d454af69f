//! Templates: what the records of a data set consist of.

use super::{
    bytes::Bytes,
    element::{Element, Host, Number, element},
    values::Values,
};

/// The length of a field that says its length in each record (RFC 7011, section 7).
const VARIABLE: u16 = 65_535;
/// The bit of a field's type that says that its enterprise follows.
const HAS_ENTERPRISE: u16 = 1 << 15;

/// How the templates of a version are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    NetFlow9,
    Ipfix,
}

/// What a template describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Flows.
    Flows,
    /// Something without a time of a flow.
    Timeless,
    /// Options of the exporter.
    Options,
}

/// What the records of a data set consist of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) purpose: Purpose,
    fields: Vec<Field>,
    /// The length of the shortest record, at least 1.
    shortest: usize,
    /// Whether all records are that long.
    is_fixed: bool,
}

/// Some bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    /// `None` where they are passed over.
    element: Option<Element>,
    /// How many they are, or [`VARIABLE`].
    length: u16,
}

/// What a set of templates says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Template(u16, Template),
    /// The template is not used any more (RFC 7011, section 8.1).
    Withdrawn(u16),
    /// All templates of data, or all of options, are not used any more.
    AllWithdrawn {
        options: bool,
    },
    /// A template that describes no record.
    Refused(u16),
}

impl Template {
    fn new(purpose: Purpose, described: impl Iterator<Item = Field>) -> Option<Self> {
        let mut fields: Vec<Field> = Vec::new();
        let (mut shortest, mut is_fixed, mut tells_time) = (0, true, false);
        for field in described.map(Field::checked) {
            if field.length == VARIABLE {
                is_fixed = false;
                shortest += 1;
            } else {
                shortest += usize::from(field.length);
            }
            tells_time |= matches!(field.element, Some(Element::Number(number)) if number.tells_a_time());
            match fields.last_mut() {
                _ if field.length == 0 => {}
                // What is passed over is one field with what is passed over before it.
                Some(last) if last.joins(field) => last.length += field.length,
                _ => fields.push(field),
            }
        }
        let purpose = if purpose == Purpose::Flows && !tells_time { Purpose::Timeless } else { purpose };
        (shortest > 0).then_some(Self { purpose, fields, shortest, is_fixed })
    }

    /// That of the records of NetFlow v5, as Cisco describes them.
    pub(super) fn netflow5() -> Option<Self> {
        let number = |number, length| Field { element: Some(Element::Number(number)), length };
        let address = |host| Field { element: Some(Element::Address(host)), length: 4 };
        let passed = |length| Field { element: None, length };
        let fields = [
            address(Host::SourceV4),
            address(Host::DestinationV4),
            // The next hop and two interfaces.
            passed(8),
            number(Number::Packets, 4),
            number(Number::Bytes, 4),
            number(Number::StartUptime, 4),
            number(Number::EndUptime, 4),
            number(Number::SourcePort, 2),
            number(Number::DestinationPort, 2),
            passed(1),
            number(Number::TcpFlags, 1),
            number(Number::Protocol, 1),
            // Type of service, autonomous systems, lengths of prefixes.
            passed(9),
        ];
        Self::new(Purpose::Flows, fields.into_iter())
    }

    /// How much memory it takes, in fields.
    pub(super) fn cost(&self) -> usize {
        // What lies around the fields takes about as much as 16 of them.
        self.fields.len() + 16
    }

    /// How many records a data set holds.
    pub(super) fn count(&self, set: &[u8]) -> usize {
        if self.is_fixed {
            return set.len() / self.shortest.max(1);
        }
        let mut records = Bytes::new(set);
        std::iter::from_fn(|| self.pass(&mut records)).count()
    }

    /// Whether what is left of a data set is too short for a record: padding (RFC 7011, section 3.3.1).
    pub(super) fn is_padding(&self, rest: Bytes<'_>) -> bool {
        rest.len() < self.shortest
    }

    /// Reads a record; `None` where none is whole.
    pub(super) fn read(&self, records: &mut Bytes<'_>, values: &mut Values) -> Option<()> {
        if self.is_padding(*records) {
            return None;
        }
        values.clear();
        for field in &self.fields {
            let bytes = field.take(records)?;
            match field.element {
                Some(Element::Number(number)) => values.set_number(number, bytes),
                Some(Element::Address(host)) => values.set_address(host, bytes),
                None => {}
            }
        }
        Some(())
    }

    /// Passes over a record.
    fn pass(&self, records: &mut Bytes<'_>) -> Option<()> {
        if self.is_padding(*records) {
            return None;
        }
        self.fields.iter().try_for_each(|field| field.take(records).map(drop))
    }
}

impl Field {
    fn described(enterprise: Option<u32>, id: u16, length: u16) -> Self {
        Self { element: element(enterprise, id), length }
    }

    /// The field, passed over where its length is none of its element.
    fn checked(self) -> Self {
        let is_sound = match self.element {
            Some(Element::Address(Host::SourceV4 | Host::DestinationV4 | Host::ExporterV4)) => self.length == 4,
            Some(Element::Address(_)) => self.length == 16,
            // A number in floating point.
            Some(Element::Number(Number::Probability)) => self.length == 8,
            Some(Element::Number(_)) => self.length <= 8 || self.length == VARIABLE,
            None => true,
        };
        if is_sound { self } else { Self { element: None, ..self } }
    }

    /// Whether both are passed over, and are short enough to be one.
    fn joins(self, next: Self) -> bool {
        let is_passed = |field: Self| field.element.is_none() && field.length != VARIABLE;
        let length = self.length.checked_add(next.length);
        is_passed(self) && is_passed(next) && length.is_some_and(|length| length != VARIABLE)
    }

    fn take<'a>(self, records: &mut Bytes<'a>) -> Option<&'a [u8]> {
        let length = match self.length {
            VARIABLE => match records.u8()? {
                // RFC 7011, section 7: 255 says that a longer length follows.
                255 => records.u16()?.into(),
                length => length.into(),
            },
            length => length.into(),
        };
        records.take(length)
    }
}

/// Reads the templates of a set; `told` hears of them. An error says what is wrong with the rest of the set.
pub(super) fn read_templates(
    dialect: Dialect,
    purpose: Purpose,
    set: &[u8],
    mut told: impl FnMut(Told),
) -> Result<(), String> {
    let mut set = Bytes::new(set);
    // Fewer bytes are padding.
    while set.len() >= 4 {
        let mut header = set;
        let id = header.u16().unwrap_or_default();
        if id == 0 {
            break;
        }
        let one = match dialect {
            Dialect::NetFlow9 => netflow9(purpose, &mut set),
            Dialect::Ipfix => ipfix(purpose, &mut set),
        };
        told(one.ok_or_else(|| format!("template {id} ends beyond its set"))?);
    }
    Ok(())
}

/// RFC 3954, sections 5.2 and 6.1.
fn netflow9(purpose: Purpose, set: &mut Bytes<'_>) -> Option<Told> {
    let id = set.u16()?;
    let fields = match purpose {
        Purpose::Options => {
            // Lengths in bytes: of the scope, whose fields have other types, and of the options.
            let (scope, options) = (set.u16()?, set.u16()?);
            let mut scope = Bytes::new(set.take(scope.into())?);
            let mut options = Bytes::new(set.take(options.into())?);
            let mut fields: Vec<Field> = Vec::new();
            while let (Some(_), Some(length)) = (scope.u16(), scope.u16()) {
                fields.push(Field { element: None, length });
            }
            while let (Some(kind), Some(length)) = (options.u16(), options.u16()) {
                fields.push(Field::described(None, kind, length));
            }
            fields
        }
        _ => {
            let count = usize::from(set.u16()?);
            let mut described = Bytes::new(set.take(count * 4)?);
            let field = || Some(Field::described(None, described.u16()?, described.u16()?));
            std::iter::from_fn(field).collect()
        }
    };
    Some(usable(id, purpose, fields))
}

/// RFC 7011, sections 3.4 and 8.1.
fn ipfix(purpose: Purpose, set: &mut Bytes<'_>) -> Option<Told> {
    let (id, count) = (set.u16()?, set.u16()?);
    if count == 0 {
        return Some(match id {
            2 => Told::AllWithdrawn { options: false },
            3 => Told::AllWithdrawn { options: true },
            _ => Told::Withdrawn(id),
        });
    }
    if purpose == Purpose::Options {
        // How many of the fields are the scope: their elements are the same as those of options.
        set.u16()?;
    }
    let field = |_| {
        let (kind, length) = (set.u16()?, set.u16()?);
        let enterprise = if kind & HAS_ENTERPRISE == 0 { None } else { Some(set.u32()?) };
        Some(Field::described(enterprise, kind & !HAS_ENTERPRISE, length))
    };
    let fields: Vec<Field> = (0..count).map(field).collect::<Option<_>>()?;
    Some(usable(id, purpose, fields))
}

fn usable(id: u16, purpose: Purpose, fields: Vec<Field>) -> Told {
    // The numbers below 256 are those of sets of templates.
    match Template::new(purpose, fields.into_iter()).filter(|_| id >= 256) {
        Some(template) => Told::Template(id, template),
        None => Told::Refused(id),
    }
}

impl Dialect {
    /// What the templates in a set describe; `None` where the set holds none.
    pub(super) fn purpose(self, set: u16) -> Option<Purpose> {
        match (self, set) {
            (Self::NetFlow9, 0) | (Self::Ipfix, 2) => Some(Purpose::Flows),
            (Self::NetFlow9, 1) | (Self::Ipfix, 3) => Some(Purpose::Options),
            _ => None,
        }
    }
}
