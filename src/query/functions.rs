//! Functions of SQL and data frames for what flows have.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanBuilder, FixedSizeBinaryBuilder, StringArray, UInt8Array},
    datatypes::{DataType, UInt8Type},
};
use datafusion::{
    common::{DataFusionError, Result as DataFusionResult, ScalarValue},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};

use super::summary::Apart;
use crate::{
    error::ParseError,
    flow::{Address, AddressRange, Field, Protocol, TcpFlags},
    schema::column_type,
};

/// Functions for the columns of flows, which are null where an argument is:
///
/// - `ip(text)` is the address that a text names, as 16 bytes, and `ip_text(address)` the text of an address.
/// - `cidr_contains(address, block)` is whether an address lies in a block, such as `'10.0.0.0/8'`. It costs what
///   `BETWEEN` costs.
/// - `protocol_name(protocol)` is `TCP`, `UDP`, `ICMP` or `UNKNOWN`.
/// - `tcp_flags_text(tcp_flags)` is eight binary digits, as the endpoint has them: `00010010` is SYN and ACK.
///
/// A text that names no address or no block ends the query with an error.
///
/// ```
/// use std::sync::Arc;
///
/// use datafusion::prelude::{SessionContext, col, lit};
/// use flowseek::{Archive, query::{FlowTable, functions}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let [_, ip_text, cidr_contains, ..] = functions();
/// let context = SessionContext::new();
/// context.register_udf(cidr_contains.clone()); // for SQL
///
/// let flows = context.read_table(Arc::new(FlowTable::live(Archive::open("testdata/archive")?)))?;
/// let inside = flows.filter(cidr_contains.call(vec![col("src_ip"), lit("192.168.0.0/16")]))?;
/// let asked = inside.select([ip_text.call(vec![col("dst_ip")])])?.distinct()?.collect().await?;
/// assert!(!asked.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn functions() -> [ScalarUDF; 5] {
    [Kind::Ip, Kind::IpText, Kind::CidrContains, Kind::ProtocolName, Kind::TcpFlagsText]
        .map(|kind| ScalarUDF::new_from_impl(Function { kind, signature: kind.signature() }))
}

/// Which values of its column a function tells apart, where it is one of [`functions`] that tells all apart, or all names.
pub(super) fn apart(function: &ScalarUDF) -> Option<Apart> {
    match function.inner().downcast_ref::<Function>()?.kind {
        Kind::IpText | Kind::TcpFlagsText => Some(Apart::Values),
        Kind::ProtocolName => Some(Apart::Names),
        Kind::Ip | Kind::CidrContains => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Ip,
    IpText,
    CidrContains,
    ProtocolName,
    TcpFlagsText,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    kind: Kind,
    signature: Signature,
}

impl Kind {
    fn signature(self) -> Signature {
        let types = match self {
            Self::Ip => vec![DataType::Utf8],
            Self::IpText => vec![column_type(Field::SrcIp)],
            Self::CidrContains => vec![column_type(Field::SrcIp), DataType::Utf8],
            Self::ProtocolName => vec![column_type(Field::Protocol)],
            Self::TcpFlagsText => vec![column_type(Field::TcpFlags)],
        };
        Signature::exact(types, Volatility::Immutable)
    }

    fn evaluate(self, arguments: &[ArrayRef]) -> DataFusionResult<ArrayRef> {
        match (self, arguments) {
            (Self::Ip, [texts]) => addresses(texts),
            (Self::IpText, [addresses]) => address_texts(addresses),
            (Self::CidrContains, [addresses, blocks]) => contained(addresses, blocks),
            (Self::ProtocolName, [numbers]) => texts(numbers, |number| Protocol::new(number).name().to_owned()),
            (Self::TcpFlagsText, [flags]) => texts(flags, |flags| TcpFlags::new(flags).to_string()),
            _ => Err(mistyped()),
        }
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Ip => "ip",
            Kind::IpText => "ip_text",
            Kind::CidrContains => "cidr_contains",
            Kind::ProtocolName => "protocol_name",
            Kind::TcpFlagsText => "tcp_flags_text",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> DataFusionResult<DataType> {
        Ok(match self.kind {
            Kind::Ip => column_type(Field::SrcIp),
            Kind::CidrContains => DataType::Boolean,
            Kind::IpText | Kind::ProtocolName | Kind::TcpFlagsText => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let is_scalar = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let values = self.kind.evaluate(&ColumnarValue::values_to_arrays(&args.args)?)?;
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?),
            false => ColumnarValue::Array(values),
        })
    }

    /// A block that is known is two comparisons, by which segments and blocks are passed over.
    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> DataFusionResult<ExprSimplifyResult> {
        let (Kind::CidrContains, [address, Expr::Literal(ScalarValue::Utf8(Some(text)), _)]) =
            (self.kind, args.as_slice())
        else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let block = block(text)?;
        let literal = |end: Address| lit(ScalarValue::FixedSizeBinary(16, Some(end.to_bytes().to_vec())));
        let [first, last] = [block.first(), block.last()].map(literal);
        Ok(ExprSimplifyResult::Simplified(match first == last {
            true => address.clone().eq(first),
            false => address.clone().gt_eq(first).and(address.clone().lt_eq(last)),
        }))
    }
}

fn addresses(texts: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let mut addresses = FixedSizeBinaryBuilder::with_capacity(texts.len(), 16);
    for text in texts.as_string_opt::<i32>().ok_or_else(mistyped)? {
        match text.map(str::parse::<Address>).transpose().map_err(unparsed)? {
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

/// Whether addresses lie in blocks. Rows after each other often have the same block.
fn contained(addresses: &ArrayRef, blocks: &ArrayRef) -> DataFusionResult<ArrayRef> {
    let addresses = addresses.as_fixed_size_binary_opt().ok_or_else(mistyped)?;
    let blocks = blocks.as_string_opt::<i32>().ok_or_else(mistyped)?;
    let mut known: Option<(&str, AddressRange)> = None;
    let mut answers = BooleanBuilder::with_capacity(addresses.len());
    for (address, text) in addresses.iter().zip(blocks) {
        let block = match (text, known) {
            (Some(text), Some((same, block))) if text == same => Some(block),
            (Some(text), _) => Some(known.insert((text, block(text)?)).1),
            (None, _) => None,
        };
        let bytes = address.map(<[u8; 16]>::try_from).transpose().map_err(|_| mistyped())?;
        let address = bytes.map(Address::from_bytes);
        answers.append_option(
            address.zip(block).map(|(address, block)| (block.first()..=block.last()).contains(&address)),
        );
    }
    Ok(Arc::new(answers.finish()))
}

fn block(text: &str) -> DataFusionResult<AddressRange> {
    text.parse().map_err(unparsed)
}

fn texts(numbers: &ArrayRef, text: impl Fn(u8) -> String) -> DataFusionResult<ArrayRef> {
    let numbers: &UInt8Array = numbers.as_primitive_opt::<UInt8Type>().ok_or_else(mistyped)?;
    Ok(Arc::new(numbers.iter().map(|number| number.map(&text)).collect::<StringArray>()))
}

fn unparsed(error: ParseError) -> DataFusionError {
    DataFusionError::Execution(error.into())
}

fn mistyped() -> DataFusionError {
    DataFusionError::Internal("an argument is not of the function's type".to_owned())
}
