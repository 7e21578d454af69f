//! A flow, and a flow as an archive holds it.

use super::{
    Field, FlowId, Protocol, Timestamp, ValueRef,
    columns::{columns, member},
    value::HasValue as _,
};

/// The longest name or ID, in bytes: a DNS name's largest length (RFC 1035), so that a cursor over names stays small.
pub const MAX_TEXT_BYTES: usize = 255;

/// What a member is before it is known.
macro_rules! unknown {
    (nullable $values:ident $start_time:ident) => {
        None
    };
    (required Time $start_time:ident) => {
        $start_time
    };
    (required Protocol $start_time:ident) => {
        Protocol::UNKNOWN
    };
}

macro_rules! record {
    ({ $($id:tt)* } $($(#[$doc:meta])* $number:literal $since:literal $field:ident $column:ident: $values:ident $presence:ident
        $encoding:ident $listing:ident $answers:ident [$($key:literal)*] [$($alias:literal)*] $parameter:tt)*) => {
        /// A finished flow: who talked to whom, when and how much. `None` is an absent value.
        ///
        /// ```
        /// use flowseek::flow::{Flow, Protocol, Timestamp};
        ///
        /// let flow = Flow {
        ///     protocol: Protocol::TCP,
        ///     src_ip: Some("192.0.2.7".parse()?),
        ///     dst_port: Some(443),
        ///     ..Flow::starting("2022-11-01T22:46:01.765Z".parse()?)
        /// };
        /// assert_eq!(Some(flow.start_time), Timestamp::from_millis(1_667_342_761_765));
        /// # Ok::<(), String>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct Flow {
            $($(#[$doc])* pub $column: member!($presence $values),)*
        }

        impl Flow {
            /// A flow of which nothing but its start is known.
            pub const fn starting(start_time: Timestamp) -> Self {
                Self { $($column: unknown!($presence $values start_time)),* }
            }

            /// The value of a field; `None` where it is absent, and always for [`Field::FlowId`], which only an archive
            /// gives.
            pub fn value(&self, field: Field) -> Option<ValueRef<'_>> {
                match field {
                    Field::FlowId => None,
                    $(Field::$field => self.$column.value(),)*
                }
            }
        }
    };
}

columns!(record);

/// A flow in an archive: its ID and what was appended.
///
/// ```
/// use flowseek::flow::{Field, Flow, FlowId, StoredFlow, ValueRef};
///
/// let flow = Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) };
/// let stored = StoredFlow { id: FlowId::new(7), flow };
/// assert_eq!(stored.value(Field::FlowId), Some(ValueRef::Number(7)));
/// assert_eq!(stored.value(Field::DstPort), Some(ValueRef::Number(443)));
/// # Ok::<(), flowseek::error::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredFlow {
    /// The flow's number in its archive.
    pub id: FlowId,
    /// The flow.
    pub flow: Flow,
}

impl StoredFlow {
    /// The value of a field; `None` where it is absent.
    pub fn value(&self, field: Field) -> Option<ValueRef<'_>> {
        match field {
            Field::FlowId => Some(self.id.into()),
            _ => self.flow.value(field),
        }
    }
}
