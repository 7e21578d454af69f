//! The fields of a flow: the vocabulary that filters, orders and columns share.

use super::columns::{ValueType, columns};

/// What the values of a field are.
///
/// ```
/// use flowseek::flow::{Field, Kind};
///
/// let kinds = [Field::StartTime, Field::SrcIp, Field::SrcPort, Field::SrcNode].map(Field::kind);
/// assert_eq!(kinds, [Kind::Time, Kind::Address, Kind::Number, Kind::Text]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A point in time, in milliseconds.
    Time,
    /// An unsigned number.
    Number,
    /// An IP address.
    Address,
    /// A text, compared as bytes.
    Text,
}

macro_rules! fields {
    ({ $($id:tt)* } $($others:tt)*) => { fields! { $($id)* $($others)* } };
    ($($(#[$doc:meta])* $number:literal $since:literal $field:ident $column:ident: $values:ident $presence:ident $encoding:ident
        $listing:ident $answers:ident [$($key:literal)*] [$($alias:literal)*] $parameter:tt)*) => {
        /// A field of a flow, named as its column in the archive.
        ///
        /// Its number is the place of the column. It is written into files, so that no field ever gets another.
        ///
        /// ```
        /// use flowseek::Field;
        ///
        /// assert_eq!(Field::named("dst_port"), Some(Field::DstPort));
        /// assert_eq!(Field::DstPort.name(), "dst_port");
        /// assert_eq!(Field::DstPort.greatest(), 65_535);
        /// assert!(Field::StartTime.always_present() && !Field::EndTime.always_present());
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Field {
            $($(#[$doc])* $field = $number,)*
        }

        impl Field {
            /// Every field, in the order of the columns.
            pub const ALL: &'static [Self] = &[$(Self::$field),*];
        }
    };
}

columns!(fields);

impl Field {
    /// Every field, in the order of the columns.
    pub fn all() -> impl ExactSizeIterator<Item = Self> + DoubleEndedIterator + Clone {
        Self::ALL.iter().copied()
    }

    /// The field whose column has this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|field| field.name() == name)
    }

    /// The name of the column.
    pub const fn name(self) -> &'static str {
        self.column().name
    }

    /// Its name in answers and in JSON; `None` of the ID, which only the archive has.
    pub(crate) fn key(self) -> Option<&'static str> {
        self.column().keys.first().copied()
    }

    /// What its values are.
    pub const fn kind(self) -> Kind {
        match self.column().values {
            ValueType::Time => Kind::Time,
            ValueType::Address => Kind::Address,
            ValueType::Name | ValueType::Meta => Kind::Text,
            ValueType::Id
            | ValueType::Protocol
            | ValueType::Port
            | ValueType::Bytes
            | ValueType::Packets
            | ValueType::TcpFlags
            | ValueType::FlowFlags => Kind::Number,
        }
    }

    /// Whether its numbers are sets of flags, one bit each.
    pub(crate) const fn is_flags(self) -> bool {
        matches!(self.column().values, ValueType::TcpFlags | ValueType::FlowFlags)
    }

    /// Whether every flow has a value here.
    pub const fn always_present(self) -> bool {
        self.column().is_required
    }

    /// The greatest number (see [`ValueRef::Number`](super::ValueRef::Number)) that a value of the field can have.
    pub const fn greatest(self) -> u128 {
        match self.column().values {
            ValueType::Protocol | ValueType::TcpFlags => u8::MAX as u128,
            ValueType::Port => u16::MAX as u128,
            ValueType::Id | ValueType::Time | ValueType::Bytes | ValueType::Packets | ValueType::FlowFlags => {
                u64::MAX as u128
            }
            ValueType::Address | ValueType::Name | ValueType::Meta => u128::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_field_is_the_place_of_its_column() {
        for (place, field) in Field::all().enumerate() {
            assert_eq!(field as usize, place, "{}", field.name());
            assert_eq!(Field::named(field.name()), Some(field));
        }
    }

    #[test]
    fn a_name_means_one_field() {
        let names = |field: Field| {
            let column = field.column();
            column.keys.iter().chain(column.aliases).chain([&column.name]).copied().collect::<Vec<_>>()
        };
        for field in Field::all() {
            for other in Field::all().filter(|other| *other != field) {
                assert!(names(other).iter().all(|name| !names(field).contains(name)), "{field:?}, {other:?}");
            }
        }
    }
}
