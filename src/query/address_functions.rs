//! Functions of SQL and data frames for addresses.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, FixedSizeBinaryBuilder, StringArray},
    datatypes::DataType,
};
use datafusion::{
    common::{DataFusionError, Result as DataFusionResult, ScalarValue},
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
};

use crate::{
    flow::{Address, Field},
    schema::column_type,
};

/// Functions for the columns of addresses, whose values are 16 bytes: `ip(text)` is the address that a text names,
/// `ip_text(address)` the text of an address, both null where their argument is. A text that names no address ends the
/// query with an error.
///
/// ```
/// use std::sync::Arc;
///
/// use datafusion::prelude::{SessionContext, col, lit};
/// use flowseek::{Archive, query::{FlowTable, address_functions}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let [ip, ip_text] = address_functions();
/// let context = SessionContext::new();
/// context.register_udf(ip.clone()); // for SQL
///
/// let flows = context.read_table(Arc::new(FlowTable::new(Archive::open("testdata/archive")?.snapshot()?)))?;
/// let one = flows.filter(col("src_ip").eq(ip.call(vec![lit("192.168.1.105")])))?;
/// let asked = one.select([ip_text.call(vec![col("dst_ip")])])?.distinct()?.collect().await?;
/// assert!(!asked.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn address_functions() -> [ScalarUDF; 2] {
    let address = column_type(Field::SrcIp);
    let function = |name, from: DataType, to: DataType, convert: fn(&ArrayRef) -> DataFusionResult<ArrayRef>| {
        let implementation = move |arguments: &[ColumnarValue]| {
            let argument = arguments.first().ok_or_else(|| DataFusionError::Internal(format!("{name} of nothing")))?;
            match argument {
                ColumnarValue::Array(values) => convert(values).map(ColumnarValue::Array),
                ColumnarValue::Scalar(value) => {
                    ScalarValue::try_from_array(&convert(&value.to_array()?)?, 0).map(ColumnarValue::Scalar)
                }
            }
        };
        create_udf(name, vec![from], to, Volatility::Immutable, Arc::new(implementation))
    };
    [
        function("ip", DataType::Utf8, address.clone(), addresses),
        function("ip_text", address, DataType::Utf8, address_texts),
    ]
}

fn addresses(texts: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let mut addresses = FixedSizeBinaryBuilder::with_capacity(texts.len(), 16);
    for text in texts.as_string_opt::<i32>().ok_or_else(mistyped)? {
        match text.map(str::parse::<Address>).transpose().map_err(DataFusionError::Execution)? {
            Some(address) => addresses.append_value(address.to_bytes())?,
            None => addresses.append_null(),
        }
    }
    Ok(Arc::new(addresses.finish()))
}

fn address_texts(addresses: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let addresses = addresses.as_fixed_size_binary_opt().ok_or_else(mistyped)?;
    let text = |bytes: &[u8]| bytes.try_into().map(|bytes| Address::from_bytes(bytes).to_string());
    let texts = addresses.iter().map(|bytes| bytes.map(text).transpose());
    Ok(Arc::new(texts.collect::<Result<StringArray, _>>().map_err(|_| mistyped())?))
}

fn mistyped() -> DataFusionError {
    DataFusionError::Internal("an argument is not of the function's type".to_owned())
}
