//! Whatever is made from the table of columns has every column. Nothing here names one, so a new column is tested by this as
//! soon as it is in the table.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Int64Type,
};
use datafusion::prelude::SessionConfig;
use flowseek::{
    Filter, Flow, Order,
    flow::{Field, Kind, StoredFlow},
    http::openapi,
    import::{Format, Item, Reader},
    order::{Direction, SortKey},
    query::{Pruning, archive_session, limited_memory},
    wire::{FlagsFormat, Limits, Profile, Request, View, all_fields, table, write_line},
};

use crate::{
    ingest::{Scratch, parquet},
    support::block_on,
};

/// Those that come with a flow: all but the number that the archive gives it.
fn fields() -> impl Iterator<Item = Field> {
    Field::all().filter(|field| *field != Field::FlowId)
}

/// A line with a value for each key, which is the number of a protocol that has a name; `{}` is a name as well as an object.
fn line(number: u8) -> String {
    let member = |(name, field): &(&str, Field)| {
        let value = match field.kind() {
            Kind::Time | Kind::Number => number.to_string(),
            Kind::Address => format!("\"10.0.0.{number}\""),
            Kind::Text => format!("\"{{\\\"{number}\\\":{number}}}\""),
        };
        format!("\"{name}\":{value}")
    };
    format!("{{{}}}", all_fields().iter().map(member).collect::<Vec<_>>().join(","))
}

fn read(line: &str) -> Flow {
    let items = Reader::new(Format::Json, line.as_bytes()).collect::<flowseek::Result<Vec<_>>>().unwrap();
    let [Item::Flow(flow)] = items.as_slice() else { panic!("{items:?}") };
    flow.clone()
}

fn view() -> View {
    View::new(Profile::Seed, FlagsFormat::Binary).with(Some(all_fields().to_vec()))
}

/// An archive of a flow with all values, and of one with nothing but a start.
fn archive() -> (Scratch, Vec<Flow>) {
    let (scratch, flow) = (Scratch::new(100), read(&line(6)));
    let flows = vec![flow.clone(), Flow::starting(flow.start_time)];
    scratch.import_bytes(format!("{}\n{{\"startTime\":6}}\n", line(6)));
    assert_eq!(scratch.flows(), flows);
    (scratch, flows)
}

fn page(scratch: &Scratch, order: Order, pruning: Pruning) -> (RecordBatch, Vec<StoredFlow>) {
    let query = scratch.archive.snapshot().unwrap().query(Filter::all()).order(order).pruning(pruning);
    let page = block_on(query.page()).unwrap();
    (page.batch.clone(), page.flows().unwrap())
}

#[test]
fn every_column_is_read_from_json_stored_and_answered_as_it_was() {
    let (scratch, flows) = archive();
    for field in fields() {
        assert!(flows[0].value(field).is_some(), "{}", field.name());
        let key = all_fields().iter().find(|(_, shown)| *shown == field);
        assert!(key.is_some(), "{}", field.name());
    }
    let (batch, stored) = page(&scratch, Order::oldest_first(), Pruning::On);
    let mut answered = Vec::new();
    write_line(&mut answered, &stored[0].flow, view()).unwrap();
    let answered = String::from_utf8(answered).unwrap();
    assert_eq!(read(&answered), flows[0], "{answered}");
    for (name, _) in all_fields() {
        assert!(answered.contains(&format!("\"{name}\":")), "{name}: {answered}");
    }
    assert_eq!(table(&batch, &view()).unwrap().num_columns(), all_fields().len());
}

#[test]
fn every_column_is_imported_from_parquet_under_both_its_names() {
    let (scratch, flows) = archive();
    let (batch, _) = page(&scratch, Order::oldest_first(), Pruning::On);
    for rows in [table(&batch, &view()).unwrap(), batch] {
        let schema = rows.schema();
        let columns = schema.fields().iter().zip(rows.columns());
        let columns = columns.map(|(column, values)| (column.name().as_str(), Arc::clone(values))).collect();
        let other = Scratch::new(100);
        let outcome = other.import_bytes(parquet(columns));
        assert_eq!((outcome.reasons(), outcome.remarks()), (Vec::new(), Vec::new()));
        assert_eq!(other.flows(), flows);
    }
}

#[test]
fn every_column_is_sorted_by_bounded_and_asked_for_in_sql() {
    let (scratch, flows) = archive();
    let snapshot = scratch.archive.snapshot().unwrap();
    let segment = &snapshot.manifest().segments[0];
    let context =
        archive_session(scratch.archive.clone(), SessionConfig::new(), limited_memory(1 << 30).unwrap()).unwrap();
    for field in fields() {
        let name = field.name();
        for direction in [Direction::Ascending, Direction::Descending] {
            let order = Order::new([SortKey { field, direction }], direction);
            let [pruned, whole] = [Pruning::On, Pruning::Off].map(|pruning| page(&scratch, order.clone(), pruning).1);
            assert!(pruned == whole && pruned.len() == flows.len(), "{name}");
            // What has no value comes last.
            assert!(field.always_present() || pruned[0].flow == flows[0], "{name}");
        }
        let span = segment.bounds(field).unwrap();
        let value = flows[0].value(field);
        assert!(span.values.is_some_and(|(least, _)| Some(least) <= value), "{name}");
        assert_eq!(span.absent, !field.always_present(), "{name}");
        let sql = format!("SELECT count({name}) AS given, count(*) AS flows FROM flows");
        let rows = block_on(async { context.sql(&sql).await.unwrap().collect().await.unwrap() });
        let number = |column: usize| rows[0].column(column).as_primitive::<Int64Type>().value(0);
        assert_eq!((number(0), number(1)), (if field.always_present() { 2 } else { 1 }, 2), "{name}");
    }
}

#[test]
fn every_column_is_taken_from_a_batch() {
    let (scratch, flows) = archive();
    let (batch, _) = page(&scratch, Order::oldest_first(), Pruning::On);
    let other = Scratch::new(100);
    let live = other.archive.live_appender(flowseek::ingest::LiveOptions::default()).unwrap();
    block_on(async {
        live.append_batch(&batch).await.unwrap();
        let _ = live.close().await.unwrap();
    });
    assert_eq!(other.flows(), flows);
}

#[test]
fn every_column_is_a_field_of_the_answer_and_in_the_document() {
    let document = openapi::document(&Limits::default());
    let described = &document["components"]["schemas"]["Flow"]["properties"];
    for field in fields() {
        let (name, _) = all_fields().iter().find(|(_, shown)| *shown == field).unwrap();
        assert!(described[*name].is_object(), "{name}");
        let request = Request::parse(&format!("fields={name}")).unwrap();
        assert_eq!(request.fields, Some(vec![(*name, field)]));
    }
    assert!(all_fields().len() == fields().count() && described.as_object().unwrap().len() == fields().count());
}

proptest::proptest! {
    #[test]
    fn a_flow_that_was_serialized_is_the_same_and_its_json_is_what_is_imported(flow in crate::support::flow()) {
        let json = serde_json::to_string(&flow).unwrap();
        // Numbers of `meta` are those that `serde_json` makes of them.
        let meta = flow.meta.as_ref().map(|meta| {
            serde_json::from_str::<serde_json::Value>(meta.as_str()).unwrap().to_string().parse().unwrap()
        });
        let expected = Flow { meta, ..flow };
        proptest::prop_assert_eq!(&serde_json::from_str::<Flow>(&json).unwrap(), &expected);
        let mut read = Vec::new();
        flowseek::import::read_json(json.as_bytes(), |_, flow| read.push(flow.unwrap())).unwrap();
        proptest::prop_assert_eq!(read, [expected]);
    }
}

#[test]
fn what_is_no_flow_is_not_deserialized() {
    for (json, reason) in [
        (r#"{"destPort":443}"#, "startTime: it is missing"),
        (r#"{"startTime":1,"destPort":65536}"#, "destPort"),
        (r#"{"startTime":"yesterday"}"#, "startTime"),
        ("[]", "expected a map"),
    ] {
        let error = serde_json::from_str::<Flow>(json).unwrap_err().to_string();
        assert!(error.contains(reason), "{json}: {error}");
    }
}
