//! Parquet files of other programs: what is read exactly, what is refused, and what damage costs.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, FixedSizeBinaryArray, Float64Array, Int64Array, StringArray};
use bytes::Bytes;
use flowseek::{ErrorKind, flow::Address};
use parquet::{
    basic::{Compression, Encoding},
    column::writer::ColumnCloseResult,
    data_type::{Int96, Int96Type},
    file::{metadata::ColumnChunkMetaData, properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

use crate::{
    folder::Folder,
    ingest::{Scratch, parquet, parquet_with, sample},
};

#[test]
fn columns_that_no_flow_has_are_said_once_with_the_column_that_is_meant() {
    let remark =
        |name: &str, meant: &str| format!("{name:?} is unknown and was ignored in 3 records; did you mean {meant:?}?");
    let texts = |text: &str| Arc::new(StringArray::from(vec![text; 3])) as ArrayRef;
    let columns = vec![("startTime", texts("1")), ("src_ip", texts("10.0.0.1")), ("flow_id", texts("1"))];
    let outcome = Scratch::new(1000).import_bytes(parquet(columns));
    assert_eq!(outcome.remarks(), [remark("src_ip", "sourceIP")]);
    let own = vec![("start_time", texts("1")), ("source_ip", texts("10.0.0.1")), ("flow_id", texts("1"))];
    let outcome = Scratch::new(1000).import_bytes(parquet(own));
    assert_eq!(outcome.remarks(), [remark("source_ip", "src_ip")]);
    assert_eq!(Scratch::new(1000).import_file(sample("westermo.parquet")).remarks(), [""; 0]);
}

/// A Parquet file of one column of timestamps as Spark writes them: a Julian day, and nanoseconds of it.
fn spark(column: &str, times: &[(u32, u64)]) -> Vec<u8> {
    let schema = parse_message_type(&format!("message spark_schema {{ required int96 {column}; }}")).unwrap();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<Int96> =
        times.iter().map(|(day, nanos)| Int96::from(vec![*nanos as u32, (nanos >> 32) as u32, *day])).collect();
    column.typed::<Int96Type>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn times_of_spark_are_exact_or_their_row_is_rejected() {
    const DAY: u64 = 86_400_000_000_000;
    let times = [
        (5_373_484, DAY - 1_000_000, Some("9999-12-31T23:59:59.999Z")),
        (5_373_484, DAY - 1, Some("9999-12-31T23:59:59.999Z")),
        (5_373_485, 0, None),
        (2_440_588, 1_500_000, Some("1970-01-01T00:00:00.001Z")),
        (2_440_587, DAY - 1, Some("1969-12-31T23:59:59.999Z")),
        (1_721_060, 0, Some("0000-01-01T00:00:00.000Z")),
        (1_721_059, DAY - 1, None),
        (0, 0, None),
        (u32::MAX, 0, None),
        (i32::MAX as u32, DAY - 1, None),
        (2_440_588 + 106_752, 0, Some("2262-04-12T00:00:00.000Z")),
    ];
    for column in ["startTime", "start_time"] {
        let scratch = Scratch::new(1000);
        let written: Vec<(u32, u64)> = times.iter().map(|(day, nanos, _)| (*day, *nanos)).collect();
        let outcome = scratch.import_bytes(spark(column, &written));
        let expected: Vec<&str> = times.iter().filter_map(|(.., time)| *time).collect();
        let stored: Vec<String> = scratch.flows().iter().map(|flow| flow.start_time.to_string()).collect();
        assert_eq!(stored, expected);
        let rejected: Vec<u64> =
            (1..).zip(&times).filter(|(_, (.., time))| time.is_none()).map(|(row, _)| row).collect();
        assert_eq!(outcome.rejected.iter().map(|rejected| rejected.number).collect::<Vec<_>>(), rejected);
        assert!(outcome.reasons().iter().all(|reason| reason.contains("lie outside the years 0 to 9999")));
    }
}

#[test]
fn byte_arrays_without_annotation_are_text_and_never_guessed_from_their_length() {
    let binary = |values: &[&[u8]]| Arc::new(BinaryArray::from(values.to_vec())) as ArrayRef;
    let scratch = Scratch::new(1000);
    // Text of 16 bytes, then an address of 16 bytes.
    let bytes = "2001:db8::1".parse::<Address>().unwrap().to_bytes();
    let outcome = scratch.import_bytes(parquet(vec![
        ("startTime", binary(&[b"1", b"2", b"3", b"4"])),
        ("sourceIP", binary(&[b"::ffff:192.0.2.1", b"10.0.0.1", &bytes, b""])),
        ("destPort", binary(&[b"443", b"80", b"1", b"22"])),
        ("destNode", binary(&[b"db", "ü".as_bytes(), b"x", b""])),
    ]));
    let [reason] = outcome.reasons().try_into().unwrap();
    assert!(reason.starts_with("row 3: sourceIP: 16 bytes that are not UTF-8"), "{reason}");
    let flows = scratch.flows();
    let seen: Vec<_> = flows.iter().map(|flow| (flow.src_ip, flow.dst_port, flow.dst_node.as_deref())).collect();
    let address = |text: &str| text.parse::<Address>().ok();
    let expected = [
        (address("192.0.2.1"), Some(443), Some("db")),
        (address("10.0.0.1"), Some(80), Some("ü")),
        (None, Some(22), None),
    ];
    assert_eq!(seen, expected);

    let fixed = FixedSizeBinaryArray::try_from_iter([bytes, *b"::ffff:192.0.2.1"].into_iter()).unwrap();
    let scratch = Scratch::new(1000);
    let times = Arc::new(Int64Array::from(vec![1, 2]));
    assert_eq!(
        scratch.import_bytes(parquet(vec![("startTime", times), ("destIP", Arc::new(fixed))])).report().imported,
        2
    );
    let addresses: Vec<_> = scratch.flows().iter().map(|flow| flow.dst_ip.unwrap()).collect();
    assert_eq!(addresses, [address("2001:db8::1").unwrap(), Address::from_bytes(*b"::ffff:192.0.2.1")]);
}

#[test]
fn a_cell_that_is_not_utf_8_costs_its_row() {
    let names = ["one", "two", "six"];
    let columns = vec![
        ("startTime", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        ("destNode", Arc::new(StringArray::from(names.to_vec()))),
    ];
    let whole = parquet_with(columns, WriterProperties::builder().set_dictionary_enabled(false).build());
    let at = whole.windows(3).position(|bytes| bytes == b"two").unwrap();
    let mut damaged = whole;
    damaged[at] = 0xff;
    let scratch = Scratch::new(1000);
    let outcome = scratch.import_bytes(damaged);
    assert_eq!(outcome.reasons(), ["row 2: destNode: 3 bytes that are not UTF-8 at byte 1"]);
    let stored: Vec<_> = scratch.flows().into_iter().map(|flow| flow.dst_node.unwrap()).collect();
    assert_eq!(stored, ["one", "six"]);
}

#[test]
fn counts_in_floating_point_are_exact_and_nan_is_absent() {
    let scratch = Scratch::new(1000);
    let counts = vec![9_007_199_254_740_992.0, 1_152_921_504_606_846_976.0, f64::NAN, 0.5, f64::INFINITY, -1.0];
    let outcome = scratch.import_bytes(parquet(vec![
        ("startTime", Arc::new(Float64Array::from(vec![1.0; 6]))),
        ("destBytes", Arc::new(Float64Array::from(counts))),
        ("destPort", Arc::new(Float64Array::from(vec![443.0, f64::NAN, f64::NAN, 0.0, 0.0, 0.0]))),
    ]));
    assert_eq!(outcome.rejected.iter().map(|rejected| rejected.number).collect::<Vec<_>>(), [4, 5, 6]);
    let stored: Vec<_> = scratch.flows().iter().map(|flow| (flow.dst_bytes, flow.dst_port)).collect();
    assert_eq!(stored, [(Some(1 << 53), Some(443)), (Some(1 << 60), None), (None, None)]);
    // A start that is no number is no start.
    let outcome = scratch.import_bytes(parquet(vec![("startTime", Arc::new(Float64Array::from(vec![f64::NAN])))]));
    assert_eq!(outcome.reasons(), ["row 1: startTime: it is missing, and every flow has a start"]);
}

/// A page of 64-bit numbers, none of which is absent, with its checksum. The crate's own writer notes none.
fn page(numbers: &[i64]) -> Vec<u8> {
    let count = numbers.len() as i32;
    let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut crc = flate2::Crc::new();
    crc.update(&data);
    let size = data.len() as i32;
    // Fields 1 to 5 of `PageHeader`: the type, both sizes, the checksum, and `DataPageHeader` with the number of values
    // and three encodings.
    let mut header = Vec::new();
    for number in [0, size, size, crc.sum().cast_signed()] {
        header.push(0x15);
        header.extend(varint(number));
    }
    header.push(0x1c);
    for number in [count, 0, 3, 3] {
        header.push(0x15);
        header.extend(varint(number));
    }
    [&header[..], &[0, 0], &data].concat()
}

/// A number as Thrift's compact protocol writes it.
fn varint(number: i32) -> Vec<u8> {
    let mut rest = ((number << 1) ^ (number >> 31)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// A Parquet file of flows that start at 0, 1, 2..., in row groups of one page.
fn with_checksums(rows: i64, group_rows: i64) -> Vec<u8> {
    let schema = Arc::new(parse_message_type("message flows { required int64 startTime; }").unwrap());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let starts: Vec<i64> = (0..rows).collect();
    for group in starts.chunks(group_rows as usize) {
        let rows = group.len() as i64;
        let page = Bytes::from(page(group));
        let length = page.len() as i64;
        let column = writer.schema_descr().column(0);
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::UNCOMPRESSED)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
            .set_num_values(rows)
            .set_total_compressed_size(length)
            .set_total_uncompressed_size(length)
            .set_data_page_offset(0)
            .build()
            .unwrap();
        let close = ColumnCloseResult {
            bytes_written: length as u64,
            rows_written: rows as u64,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        let mut row_group = writer.next_row_group().unwrap();
        row_group.append_column(&page, close).unwrap();
        row_group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn a_page_whose_checksum_is_wrong_is_an_error_and_the_row_groups_before_it_are_read() {
    let whole = with_checksums(300, 100);
    let scratch = Scratch::new(1000);
    assert_eq!(scratch.import_bytes(whole.clone()).report().imported, 300);
    let place = |row: i64| whole.windows(8).position(|bytes| bytes == row.to_le_bytes()).unwrap();
    for row in [50, 150, 250] {
        let mut damaged = whole.clone();
        damaged[place(row)] ^= 1;
        let directory = Folder::new();
        let path = directory.path().join("flows.parquet");
        std::fs::write(&path, &damaged).unwrap();
        let (stream, file) = (Scratch::new(1000), Scratch::new(1000));
        for (scratch, outcome) in [(&stream, stream.import_bytes(damaged)), (&file, file.import_file(&path))] {
            assert_eq!(outcome.error().kind(), ErrorKind::InvalidInput);
            let sound = row / 100 * 100;
            let message = outcome.error().to_string();
            assert!(message.starts_with(&format!("the Parquet file cannot be read beyond row {sound}: ")), "{message}");
            assert!(message.contains("the checksum of a page of column startTime is wrong"), "{message}");
            assert_eq!(scratch.flows().len() as i64, sound);
        }
    }
}

#[test]
fn every_flipped_bit_of_a_page_with_a_checksum_is_an_error() {
    let whole = with_checksums(20, 20);
    let at = whole.windows(8).position(|bytes| bytes == 1i64.to_le_bytes()).unwrap() - 8;
    let scratch = Scratch::new(1000);
    for bit in 0..20 * 64 {
        let mut damaged = whole.clone();
        damaged[at + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(scratch.import_bytes(damaged).error().kind(), ErrorKind::InvalidInput, "bit {bit}");
    }
}
