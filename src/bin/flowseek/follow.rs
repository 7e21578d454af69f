//! Flows from inputs that grow.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use flowseek::{
    Archive, LiveAppender, LiveOptions,
    error::ErrorKind,
    import::Rejected,
    ingest::{FollowEvent, Follower, ImportOptions, ImportReport},
};
use tokio::sync::oneshot;

use super::{
    failure::{Failure, answer, say},
    signals::Signals,
};

/// How long it waits at least between two looks at the files.
const PAUSE: Duration = Duration::from_millis(300);
/// How many times as long it waits as a look takes.
const SHARE: u32 = 4;
/// The rejected lines that are reported one by one in a minute.
const MAX_REPORTED: u64 = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// How long it tries to commit what is left once it is asked to stop.
const SHUTDOWN: Duration = Duration::from_secs(30);

/// What is followed.
pub enum Input {
    Stdin,
    Files(Vec<PathBuf>),
}

/// Follows an input until it ends or the process is asked to stop, and commits what was read.
pub async fn follow(archive: &Archive, input: Input, options: ImportOptions, live: LiveOptions) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let appender = archive.live_appender(live)?;
    let report = Arc::new(Mutex::new(ImportReport::default()));
    let (sender, mut end) = oneshot::channel();
    let (reader, watch) = (appender.clone(), Watch::new(&report));
    // It may wait for its input for ever: the process ends without it.
    let thread = thread::Builder::new().name("flowseek-follow".to_owned()).spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(read(reader, input, options, watch));
    });
    thread.map_err(|error| Failure::Failed(format!("no thread can be started: {error}")))?;
    let outcome = tokio::select! {
        outcome = &mut end => outcome.unwrap_or_else(|_| Err(Failure::Failed("what reads the input has panicked".to_owned()))),
        () = signals.next() => Ok(()),
    };
    let shutdown = tokio::select! {
        shutdown = appender.shutdown(SHUTDOWN) => shutdown,
        () = signals.next() => return Err(Failure::Failed("stopped before all flows were committed".to_owned())),
    };
    let left = shutdown.uncommitted + shutdown.unknown;
    if left > 0 {
        let why = shutdown.failure.map_or_else(String::new, |failure| format!(": {failure}"));
        return Err(Failure::Failed(format!("{left} flows could not be committed{why}")));
    }
    let report = report.lock().unwrap_or_else(PoisonError::into_inner);
    let skipped = if report.skipped > 0 { format!(" skipped={}", report.skipped) } else { String::new() };
    answer(format_args!("imported={} rejected={}{skipped}", report.imported, report.rejected))?;
    outcome
}

/// Reads the input, until it ends or nothing more is taken.
fn read(appender: LiveAppender, input: Input, options: ImportOptions, mut watch: Watch) -> Result<(), Failure> {
    let paths = match input {
        Input::Stdin => {
            return match appender.follow(io::stdin(), &options, &mut |event| watch.observe(event)) {
                Ok(report) => {
                    watch.note(&report);
                    Ok(())
                }
                Err(error) if error.kind() == ErrorKind::Closed => Ok(()),
                Err(error) => Err(Failure::Failed(format!("-: {error}"))),
            };
        }
        Input::Files(paths) => paths,
    };
    let mut follower = Follower::new(appender, paths, options);
    loop {
        let begin = Instant::now();
        match follower.poll(&mut |event| watch.observe(event)) {
            Ok(_) => watch.note(follower.report()),
            Err(error) if error.kind() == ErrorKind::Closed => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        thread::sleep(PAUSE.max(begin.elapsed() * SHARE));
    }
}

/// Tells people how it goes, and not the same again and again.
struct Watch {
    report: Arc<Mutex<ImportReport>>,
    /// What was said of files and of the whole input.
    said: HashSet<String>,
    /// Since when lines are counted that were rejected, and how many were.
    minute: (Instant, u64),
    /// Why flows are not appended at the moment.
    delayed: Option<String>,
}

impl Watch {
    fn new(report: &Arc<Mutex<ImportReport>>) -> Self {
        Self { report: Arc::clone(report), said: HashSet::new(), minute: (Instant::now(), 0), delayed: None }
    }

    fn observe(&mut self, event: FollowEvent<'_>) {
        match event {
            FollowEvent::Rejected { path, rejected } => self.rejected(path, &rejected),
            FollowEvent::Unreadable { path, error } => self.once(format!("flowseek: {}: {error}", path.display())),
            FollowEvent::Delayed(error) => {
                let message = format!("flowseek: {error}; it is tried again every second");
                if self.delayed.as_ref() != Some(&message) {
                    say(format_args!("{message}"));
                    self.delayed = Some(message);
                }
            }
            FollowEvent::Progress(report) => {
                if self.delayed.take().is_some() {
                    say(format_args!("flowseek: flows are appended again"));
                }
                self.note(report);
            }
            _ => {}
        }
    }

    fn rejected(&mut self, path: Option<&Path>, rejected: &Rejected) {
        if self.minute.0.elapsed() >= MINUTE {
            self.tell_more();
            self.minute = (Instant::now(), 0);
        }
        self.minute.1 += 1;
        if self.minute.1 <= MAX_REPORTED {
            match path {
                Some(path) => say(format_args!("{}: {rejected}", path.display())),
                None => say(format_args!("-: {rejected}")),
            }
        }
    }

    /// Says how many rejected lines were not reported.
    fn tell_more(&self) {
        if let more @ 1.. = self.minute.1.saturating_sub(MAX_REPORTED) {
            say(format_args!("{more} more lines were rejected"));
        }
    }

    /// Takes note of what has been read, and says what is new of the remarks: their counts are not told, as they grow.
    fn note(&mut self, report: &ImportReport) {
        for key in report.remarks.unknown_keys() {
            let meant = key.meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
            self.once(format!("{:?} is unknown and is ignored{meant}", key.name));
        }
        for log in report.remarks.skipped_logs() {
            self.once(format!("records of the log {:?} are skipped", log.name));
        }
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone_from(report);
    }

    fn once(&mut self, message: String) {
        if !self.said.contains(&message) {
            say(format_args!("{message}"));
            self.said.insert(message);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tell_more();
    }
}
