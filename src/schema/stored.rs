//! The members of a flow as values of Arrow arrays.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder, PrimitiveArray, PrimitiveBuilder,
        StringArray, StringBuilder,
    },
    datatypes::{ArrowPrimitiveType, TimestampMillisecondType, UInt8Type, UInt16Type, UInt64Type},
};

use super::column_type;
use crate::{
    error::{Error, ErrorKind, Result},
    flow::{Address, Field, FlowFlags, FlowId, Meta, Protocol, TcpFlags, Timestamp},
};

/// A member of a flow, in an array of the type of its column.
pub(super) trait Stored: Sized {
    /// The array.
    type Array: Array;
    /// What builds it.
    type Builder: Builder;

    /// The array as what it is; `None` where it is of another type.
    fn array(array: &dyn Array) -> Option<&Self::Array>;

    /// The value in a row, which is within the array and not null; `None` where it is none of the domain.
    fn read(array: &Self::Array, row: usize) -> Option<Self>;

    /// Adds a value, or null.
    fn write(value: Option<&Self>, builder: &mut Self::Builder) -> Result<()>;
}

/// What gathers the values of a column.
pub(super) trait Builder: Sized {
    /// A builder for a field, without memory for any value: the builders of Arrow would reserve that of 1,024.
    fn of(field: Field) -> Self;

    /// Adds all values of an array.
    fn append(&mut self, array: &ArrayRef) -> Result<()>;

    /// The values as an array. It is empty afterwards.
    fn finish(&mut self) -> ArrayRef;
}

impl<T: ArrowPrimitiveType> Builder for PrimitiveBuilder<T> {
    fn of(field: Field) -> Self {
        Self::with_capacity(0).with_data_type(column_type(field))
    }

    fn append(&mut self, array: &ArrayRef) -> Result<()> {
        self.append_array(array.as_primitive_opt().ok_or_else(mistyped)?);
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(Self::finish(self))
    }
}

impl Builder for FixedSizeBinaryBuilder {
    fn of(_field: Field) -> Self {
        Self::with_capacity(0, 16)
    }

    fn append(&mut self, array: &ArrayRef) -> Result<()> {
        self.append_array(array.as_fixed_size_binary_opt().ok_or_else(mistyped)?).map_err(unbuilt)
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(Self::finish(self))
    }
}

impl Builder for StringBuilder {
    fn of(_field: Field) -> Self {
        Self::with_capacity(0, 0)
    }

    fn append(&mut self, array: &ArrayRef) -> Result<()> {
        self.append_array(array.as_string_opt().ok_or_else(mistyped)?).map_err(unbuilt)
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(Self::finish(self))
    }
}

/// A nullable column: each row has a value, or none.
impl<T: Stored> Stored for Option<T> {
    type Array = T::Array;
    type Builder = T::Builder;

    fn array(array: &dyn Array) -> Option<&T::Array> {
        T::array(array)
    }

    fn read(array: &T::Array, row: usize) -> Option<Self> {
        Some(array.is_valid(row).then(|| T::read(array, row)).flatten())
    }

    fn write(value: Option<&Self>, builder: &mut T::Builder) -> Result<()> {
        T::write(value.and_then(Self::as_ref), builder)
    }
}

/// Stores a type as a number: how it is read from one, and written as one.
macro_rules! stored_as_number {
    ($($value:ty, $number:ty, $read:expr, $write:expr;)*) => {
        $(impl Stored for $value {
            type Array = PrimitiveArray<$number>;
            type Builder = PrimitiveBuilder<$number>;

            fn array(array: &dyn Array) -> Option<&Self::Array> {
                array.as_primitive_opt()
            }

            fn read(array: &Self::Array, row: usize) -> Option<Self> {
                $read(array.value(row))
            }

            fn write(value: Option<&Self>, builder: &mut Self::Builder) -> Result<()> {
                builder.append_option(value.copied().map($write));
                Ok(())
            }
        })*
    };
}

stored_as_number! {
    FlowId, UInt64Type, |id| Some(FlowId::new(id)), FlowId::get;
    Timestamp, TimestampMillisecondType, Timestamp::from_millis, Timestamp::as_millis;
    Protocol, UInt8Type, |number| Some(Protocol::new(number)), Protocol::number;
    TcpFlags, UInt8Type, |bits| Some(TcpFlags::new(bits)), TcpFlags::bits;
    FlowFlags, UInt64Type, |bits| Some(FlowFlags::new(bits)), FlowFlags::bits;
    u16, UInt16Type, Some, u16::from;
    u64, UInt64Type, Some, u64::from;
}

impl Stored for Address {
    type Array = FixedSizeBinaryArray;
    type Builder = FixedSizeBinaryBuilder;

    fn array(array: &dyn Array) -> Option<&Self::Array> {
        array.as_fixed_size_binary_opt()
    }

    fn read(array: &Self::Array, row: usize) -> Option<Self> {
        array.value(row).try_into().ok().map(Address::from_bytes)
    }

    fn write(value: Option<&Self>, builder: &mut Self::Builder) -> Result<()> {
        match value {
            Some(address) => builder.append_value(address.to_bytes()).map_err(unbuilt),
            None => {
                builder.append_null();
                Ok(())
            }
        }
    }
}

impl Stored for String {
    type Array = StringArray;
    type Builder = StringBuilder;

    fn array(array: &dyn Array) -> Option<&Self::Array> {
        array.as_string_opt()
    }

    fn read(array: &Self::Array, row: usize) -> Option<Self> {
        Some(array.value(row).to_owned())
    }

    fn write(value: Option<&Self>, builder: &mut Self::Builder) -> Result<()> {
        builder.append_option(value);
        Ok(())
    }
}

impl Stored for Meta {
    type Array = StringArray;
    type Builder = StringBuilder;

    fn array(array: &dyn Array) -> Option<&Self::Array> {
        array.as_string_opt()
    }

    fn read(array: &Self::Array, row: usize) -> Option<Self> {
        Some(Self::from_stored(array.value(row)))
    }

    fn write(value: Option<&Self>, builder: &mut Self::Builder) -> Result<()> {
        builder.append_option(value.map(Self::as_str));
        Ok(())
    }
}

/// The error that an array is not of the type of its column.
pub(super) fn mistyped() -> Error {
    Error::internal("a column of flows is not of its type")
}

/// The error that Arrow refuses the values of a column.
pub(super) fn unbuilt(error: arrow::error::ArrowError) -> Error {
    Error::with(ErrorKind::Internal, "flows could not be put into columns")(error)
}
