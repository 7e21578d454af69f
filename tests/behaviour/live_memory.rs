//! The memory of the queue of a live appender, as the system counts it, while nothing can be written.

use std::{
    fs,
    pin::pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, Waker},
    time::Duration,
};

use arrow::array::RecordBatch;
use flowseek::{Archive, Flow, FlowId, Settings, flow::Timestamp, ingest::LiveAppender, schema::FlowBuilder};

use crate::{
    child::{self, Child},
    folder::Folder,
    hooked::{Hooked, Step},
    live::never,
};

const QUEUE_BYTES: u64 = 16 << 20;
/// Bytes of a flow without texts.
const FLOW_BYTES: u64 = 116;

/// What a call brings.
enum Call {
    Flows(Vec<Flow>),
    Batch(RecordBatch),
}

impl Call {
    /// The calls of a shape, and the bytes of each.
    fn of(shape: &str) -> (Self, u64) {
        let flow = |number| Flow::starting(Timestamp::from_millis(number).unwrap());
        let named = |number| Flow { src_node: Some("n".repeat(255)), node_id: Some("i".repeat(100)), ..flow(number) };
        let flows = |count| (Self::Flows((0..count).map(flow).collect()), FLOW_BYTES * count as u64);
        let slice = |of, count| {
            let mut builder = FlowBuilder::default();
            (0..of).for_each(|number| builder.push(&named(number)).unwrap());
            let batch = builder.finish(FlowId::new(1)).unwrap().slice(7, count);
            (Self::Batch(batch), (FLOW_BYTES + 355) * count as u64)
        };
        match shape {
            "one flow" => flows(1),
            "30 flows" => flows(30),
            "5000 flows" => flows(5000),
            "one flow with long names" => (Self::Flows(vec![named(1)]), FLOW_BYTES + 355),
            "a slice of 10 of 1000" => slice(1000, 10),
            "a slice of 500 of 5000" => slice(5000, 500),
            _ => slice(5000, 4993),
        }
    }

    /// Appends it where there is room; whether there was.
    fn is_taken(&self, appender: &LiveAppender) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let polled = match self {
            Self::Flows(flows) => pin!(appender.append(flows)).poll(&mut context),
            Self::Batch(batch) => pin!(appender.append_batch(batch)).poll(&mut context),
        };
        matches!(polled.map(Result::unwrap), Poll::Ready(_))
    }
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
#[ignore = "a process that the tests here start"]
fn filling_process() {
    let Some(task) = child::task() else { return };
    let (sender, begun) = mpsc::channel();
    // Segments can be begun, and no more.
    let storage = Hooked::new(move |path, step| {
        if step == Step::Create && path.parent().is_some_and(|folder| folder.ends_with("data")) {
            sender.send(()).unwrap();
            loop {
                std::thread::park();
            }
        }
        Ok(())
    });
    let settings = Settings::default().segment_rows(4).storage(Arc::new(storage));
    let archive = Archive::open_or_create_with(&task[0], settings).unwrap();
    let options = never().queue_bytes(QUEUE_BYTES).compaction(None);
    let appender = archive.live_appender(options).unwrap();
    // One segment is being written, and the next has no place: what comes now stays in the queue.
    (0..12).for_each(|_| assert!(Call::of("one flow").0.is_taken(&appender)));
    begun.recv_timeout(Duration::from_secs(60)).unwrap();
    let before = resident();
    let mut calls = 0u64;
    loop {
        // Of each call anew: what it keeps, nothing else keeps.
        let (call, _) = Call::of(&task[1]);
        if !call.is_taken(&appender) {
            break;
        }
        calls += 1;
    }
    child::say(format!("{calls} {}", resident().saturating_sub(before)));
    // Nothing of it ever ends.
    std::process::exit(0);
}

#[test]
fn the_queue_takes_little_more_memory_than_its_limit_whatever_the_calls_bring() {
    let shapes = [
        "one flow",
        "30 flows",
        "5000 flows",
        "one flow with long names",
        "a slice of 10 of 1000",
        "a slice of 500 of 5000",
        "a slice of 4993 of 5000",
    ];
    for shape in shapes {
        let directory = Folder::new();
        let filling = Child::start("live_memory::filling_process", &directory.path().join("flows"), shape);
        let said = filling.finish();
        let (calls, grown) = said[0].split_once(' ').unwrap();
        let (calls, grown): (u64, u64) = (calls.parse().unwrap(), grown.parse().unwrap());
        let bytes = calls * Call::of(shape).1;
        // The last call, and the first ones, are not all in it.
        assert!(bytes > QUEUE_BYTES * 3 / 4 && bytes <= QUEUE_BYTES, "{shape}: {bytes} bytes are in the queue");
        assert!(grown <= QUEUE_BYTES * 3 / 2, "{shape}: {calls} calls of {bytes} bytes take {grown} bytes");
        println!("{shape}: {calls} calls, {bytes} bytes, {grown} resident");
    }
}
