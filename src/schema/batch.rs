//! Columns to flows.

use arrow::array::{
    Array, AsArray, FixedSizeBinaryArray, RecordBatch, StringArray, TimestampMillisecondArray, UInt8Array, UInt16Array,
    UInt64Array,
};

use super::stored::Stored;
use crate::{
    error::{Error, Result},
    flow::{
        Address, Field, Flow, FlowId, StoredFlow, Timestamp, Value, ValueRef,
        columns::{ValueType, columns, member},
    },
};

macro_rules! flows {
    ({ $($id:tt)* } $($(#[$doc:meta])* $number:literal $since:literal $field:ident $column:ident: $values:ident $presence:ident
        $encoding:ident $listing:ident $answers:ident [$($key:literal)*] [$($alias:literal)*] $parameter:tt)*) => {
        /// The flows of a batch of an archive's columns.
        ///
        /// ```
        /// use flowseek::{flow::{Flow, FlowId}, schema::{FlowBuilder, Flows}};
        ///
        /// let mut builder = FlowBuilder::default();
        /// let flow = Flow { dst_port: Some(443), ..Flow::starting("2022-11-01T22:46:01Z".parse()?) };
        /// builder.push(&flow)?;
        /// let batch = builder.finish(FlowId::new(7))?;
        /// let stored = Flows::new(&batch)?.get(0).unwrap();
        /// assert_eq!((stored.id, stored.flow), (FlowId::new(7), flow));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[derive(Debug)]
        pub struct Flows<'a> {
            rows: usize,
            flow_id: &'a UInt64Array,
            $($column: &'a <member!($presence $values) as Stored>::Array,)*
        }

        impl<'a> Flows<'a> {
            /// The flows of `batch`.
            ///
            /// # Errors
            /// [`ErrorKind::Internal`](crate::ErrorKind::Internal) where its columns are not those of
            /// [`schema`](super::schema).
            pub fn new(batch: &'a RecordBatch) -> Result<Self> {
                Ok(Self {
                    rows: batch.num_rows(),
                    flow_id: typed(FlowId::array(column(batch, Field::FlowId)?))?,
                    $($column: typed(<member!($presence $values)>::array(column(batch, Field::$field)?))?,)*
                })
            }

            /// The flow in a row; `None` past the last.
            pub fn get(&self, row: usize) -> Option<StoredFlow> {
                if row >= self.rows {
                    return None;
                }
                let flow = Flow { $($column: Stored::read(self.$column, row)?,)* };
                Some(StoredFlow { id: FlowId::read(self.flow_id, row)?, flow })
            }
        }
    };
}

columns!(flows);

impl Flows<'_> {
    /// How many flows there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The flows, row by row.
    pub fn iter(&self) -> impl Iterator<Item = StoredFlow> {
        (0..self.rows).filter_map(|row| self.get(row))
    }
}

/// The values of one column, whichever its type: what keys and bounds are made of.
pub(crate) enum Values<'a> {
    Times(&'a TimestampMillisecondArray),
    Small(&'a UInt8Array),
    Ports(&'a UInt16Array),
    Large(&'a UInt64Array),
    Addresses(&'a FixedSizeBinaryArray),
    Texts(&'a StringArray),
}

impl<'a> Values<'a> {
    /// The column of `field` in `batch`.
    pub(crate) fn of(batch: &'a RecordBatch, field: Field) -> Result<Self> {
        Self::new(column(batch, field)?, field)
    }

    /// The values of `field` in `array`.
    pub(crate) fn new(array: &'a dyn Array, field: Field) -> Result<Self> {
        Ok(match field.column().values {
            ValueType::Time => Self::Times(typed(array.as_primitive_opt())?),
            ValueType::Protocol | ValueType::TcpFlags => Self::Small(typed(array.as_primitive_opt())?),
            ValueType::Port => Self::Ports(typed(array.as_primitive_opt())?),
            ValueType::Id | ValueType::Bytes | ValueType::Packets | ValueType::FlowFlags => {
                Self::Large(typed(array.as_primitive_opt())?)
            }
            ValueType::Address => Self::Addresses(typed(array.as_fixed_size_binary_opt())?),
            ValueType::Name | ValueType::Meta => Self::Texts(typed(array.as_string_opt())?),
        })
    }

    /// The value in a row, which must be within the batch; `None` where it is absent.
    pub(crate) fn get(&self, row: usize) -> Option<ValueRef<'a>> {
        let number = |number: u64| Some(ValueRef::Number(u128::from(number)));
        match *self {
            Self::Times(array) if array.is_valid(row) => Timestamp::from_millis(array.value(row)).map(ValueRef::from),
            Self::Small(array) if array.is_valid(row) => number(array.value(row).into()),
            Self::Ports(array) if array.is_valid(row) => number(array.value(row).into()),
            Self::Large(array) if array.is_valid(row) => number(array.value(row)),
            Self::Addresses(array) if array.is_valid(row) => Address::read(array, row).map(ValueRef::from),
            Self::Texts(array) if array.is_valid(row) => Some(ValueRef::Text(array.value(row))),
            _ => None,
        }
    }

    /// The value in a row, owned.
    pub(crate) fn owned(&self, row: usize) -> Option<Value> {
        self.get(row).map(ValueRef::to_owned)
    }
}

fn column(batch: &RecordBatch, field: Field) -> Result<&dyn Array> {
    let column = batch.column_by_name(field.name());
    let column = column.ok_or_else(|| Error::internal(format!("a batch has no column {}", field.name())))?;
    Ok(column.as_ref())
}

fn typed<T>(array: Option<&T>) -> Result<&T> {
    array.ok_or_else(|| Error::internal("a column of a batch is not of its type in an archive"))
}
