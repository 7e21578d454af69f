//! Files that are written while they are read.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::File,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    FollowEvent,
    delivery::{Delivery, is_lasting},
    head::Head,
    listed::{Key, Listed, Stamp, listed},
    text::{End, Text},
};
use crate::{
    error::{ErrorKind, Result},
    ingest::{ImportOptions, ImportReport, LiveAppender},
    resources::io_error,
};

/// How many files stay open, at most: those that were read last.
const MOST_OPEN: usize = 64;
/// How long a file stays open that nothing is written to.
const OPEN: Duration = Duration::from_secs(60);
/// How long nothing was written to a file that is gone from its path until it is taken to be at its end, or to a compressed file
/// until it is taken to be whole.
const SETTLED: Duration = Duration::from_secs(5);
/// How long a text was in none of the files until the archive forgets how far it was read.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// Appends the flows of files while other programs write them, and goes on in a new process where an earlier one has ended, however
/// that was: no line is lost, and none is there twice.
///
/// A path is a file, or a directory with all the files in and below it. Each [`poll`](Self::poll) reads what has been written
/// since the last one. A log may be rotated: renamed, compressed, moved away, cut off, copied, and begun anew. It is known by its first
/// record and the headers before it, and how far it was read is part of the archive, in the commit that holds the flows: the
/// number of the last byte, as the [last](LiveAppender::last) number of a source whose name begins with `file:`. Two logs with the
/// same first record are taken for the same. Of the
/// files that are gone, the 64 that were read last were read to their ends.
///
/// A line counts once its end is there. Lines that are no flows are reported and left out, whatever the options say of the
/// strictness. A compressed file is read once nothing was written to it for five seconds. Of files with several formats
/// each is read in its own. Files in a format that is not one of lines, as Parquet, are refused: they are to be imported
/// when they are whole.
///
/// ```
/// use std::{fs, io::Write};
///
/// use flowseek::{Archive, LiveOptions, ingest::{Follower, ImportOptions}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// let appender = archive.live_appender(LiveOptions::default())?;
/// let log = directory.path().join("flows.log");
/// let mut file = fs::File::create(&log)?;
/// let mut follower = Follower::new(appender.clone(), [log], ImportOptions::default());
///
/// file.write_all(b"{\"startTime\":1666012671}\n{\"startTime\":16660")?;
/// assert!(follower.poll(&mut |_| {})?);
/// assert_eq!(follower.report().imported, 1);
/// file.write_all(b"12672}\n")?;
/// assert!(follower.poll(&mut |_| {})?);
/// assert_eq!(follower.report().imported, 2);
/// assert!(!follower.poll(&mut |_| {})?);
/// let _ = appender.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Follower {
    appender: LiveAppender,
    paths: Vec<PathBuf>,
    options: ImportOptions,
    files: HashMap<Key, Followed>,
    /// The texts of the files, by their names as sources.
    texts: HashMap<String, Text>,
    /// Since when texts are in none of the files.
    gone: HashMap<String, Instant>,
    /// The files that may be open, those last that were read last.
    open: VecDeque<Key>,
    report: ImportReport,
}

/// A file that was looked at.
#[derive(Debug)]
struct Followed {
    path: PathBuf,
    stamp: Stamp,
    /// Since when it is as it is.
    since: Instant,
    /// The text that it has, where that is known, as the name of a source.
    source: Option<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is not known what it is, or there is nothing to be read in it before it changes.
    Idle,
    /// It is to be read once it has settled.
    Settling,
    /// It is a text.
    Text(Box<Known>),
}

/// A file whose text is known.
#[derive(Debug)]
struct Known {
    head: Head,
    /// It is open while it is written.
    file: Option<Arc<File>>,
}

impl State {
    fn text(head: Head, file: Option<Arc<File>>) -> Self {
        Self::Text(Box::new(Known { head, file }))
    }
}

impl Follower {
    /// What follows files at these paths, which need not be there yet.
    pub fn new<P: Into<PathBuf>>(
        appender: LiveAppender,
        paths: impl IntoIterator<Item = P>,
        options: ImportOptions,
    ) -> Self {
        Self {
            appender,
            paths: paths.into_iter().map(Into::into).collect(),
            options,
            files: HashMap::new(),
            texts: HashMap::new(),
            gone: HashMap::new(),
            open: VecDeque::new(),
            report: ImportReport::default(),
        }
    }

    /// What has been read so far.
    pub fn report(&self) -> &ImportReport {
        &self.report
    }

    /// Reads what has been written to the files since the last call, and whether there was anything. This blocks; it may be
    /// called again at once, or after a while: every half a second is often enough for most.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] once the appender is [shut down](LiveAppender::shutdown), and what else ends all appending. A file or
    /// directory that cannot be read is an [event](FollowEvent::Unreadable).
    pub fn poll(&mut self, observer: &mut dyn FnMut(FollowEvent<'_>)) -> Result<bool> {
        let mut has_read = false;
        let mut seen = HashSet::new();
        for path in self.paths.clone() {
            match listed(&path) {
                Ok(files) => {
                    for file in files.into_iter().filter(|file| seen.insert(file.key)).collect::<Vec<_>>() {
                        has_read |= self.look_at(&file, observer)?;
                    }
                }
                Err(error) => observer(FollowEvent::Unreadable { path: &path, error }),
            }
        }
        let missing: Vec<Key> = self.files.keys().filter(|key| !seen.contains(*key)).copied().collect();
        for key in missing {
            has_read |= self.look_after(key, observer)?;
        }
        self.forget()?;
        Ok(has_read)
    }

    /// Looks at a file that is there.
    fn look_at(&mut self, listed: &Listed, observer: &mut dyn FnMut(FollowEvent<'_>)) -> Result<bool> {
        let now = self.appender.now();
        let Some(followed) = self.files.get_mut(&listed.key) else {
            let Listed { path, key, stamp } = listed;
            let followed = Followed { path: path.clone(), stamp: *stamp, since: now, source: None, state: State::Idle };
            self.files.insert(*key, followed);
            return self.read_or_tell(listed.key, End::Open, observer);
        };
        followed.path.clone_from(&listed.path);
        if followed.stamp != listed.stamp {
            followed.stamp = listed.stamp;
            followed.since = now;
            return self.read_or_tell(listed.key, End::Open, observer);
        }
        let age = now.saturating_duration_since(followed.since);
        match &mut followed.state {
            State::Settling if age >= SETTLED => self.read_or_tell(listed.key, End::Open, observer),
            State::Text(known) if age >= OPEN && known.file.is_some() => {
                // A line that has no end yet may get none before the file is gone.
                let Known { head, file } = known.as_mut();
                let text = self.texts.get(&head.source);
                if text.is_none_or(|text| head.is_compressed || text.is_read_to(followed.stamp.length)) {
                    *file = None;
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Looks after a file that is at none of the paths any more. Who writes it may not know that yet.
    fn look_after(&mut self, key: Key, observer: &mut dyn FnMut(FollowEvent<'_>)) -> Result<bool> {
        let now = self.appender.now();
        let Some(followed) = self.files.get_mut(&key) else { return Ok(false) };
        let file = match &followed.state {
            State::Text(known) => known.file.as_ref(),
            State::Idle | State::Settling => None,
        };
        let Some(file) = file else {
            self.files.remove(&key);
            return Ok(false);
        };
        let length = file.metadata().map_or(followed.stamp.length, |metadata| metadata.len());
        let mut end = End::Open;
        if length != followed.stamp.length {
            (followed.stamp.length, followed.since) = (length, now);
        } else if now.saturating_duration_since(followed.since) >= SETTLED {
            end = End::Closed;
        } else {
            return Ok(false);
        }
        let has_read = self.read_or_tell(key, end, observer)?;
        if end == End::Closed {
            self.files.remove(&key);
        }
        Ok(has_read)
    }

    /// Reads a file; that it cannot be read is told.
    fn read_or_tell(&mut self, key: Key, end: End, observer: &mut dyn FnMut(FollowEvent<'_>)) -> Result<bool> {
        match self.read(key, end, observer) {
            Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::InvalidInput) => {
                let Some(followed) = self.files.get_mut(&key) else { return Ok(false) };
                followed.state = State::Idle;
                observer(FollowEvent::Unreadable { path: &followed.path, error });
                Ok(false)
            }
            Err(error) if error.kind() == ErrorKind::Busy => {
                // Too many files are open, say: it is looked at anew with the next call.
                let Some(followed) = self.files.remove(&key) else { return Ok(false) };
                observer(FollowEvent::Unreadable { path: &followed.path, error });
                Ok(false)
            }
            other => other,
        }
    }

    /// Lets a file stay open, and closes the one that was read longest ago where there are too many.
    fn stays_open(&mut self, key: Key) {
        self.open.retain(|other| *other != key);
        self.open.push_back(key);
        if self.open.len() > MOST_OPEN
            && let Some(oldest) = self.open.pop_front()
            && let Some(Followed { state: State::Text(known), .. }) = self.files.get_mut(&oldest)
        {
            known.file = None;
        }
    }

    /// Reads what was written to a file.
    fn read(&mut self, key: Key, end: End, observer: &mut dyn FnMut(FollowEvent<'_>)) -> Result<bool> {
        let now = self.appender.now();
        let Some(followed) = self.files.get_mut(&key) else { return Ok(false) };
        let (path, length) = (followed.path.clone(), followed.stamp.length);
        let (known, open) = match std::mem::replace(&mut followed.state, State::Idle) {
            State::Text(known) => (Some(known.head), known.file),
            State::Idle | State::Settling => (None, None),
        };
        let file = match open {
            Some(file) => file,
            None => match File::open(&path) {
                Ok(file) => Arc::new(file),
                // It has another name by now, or none.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(io_error("the file cannot be opened")(error)),
            },
        };
        // Who cuts a file off may have written more to it since than was there before.
        let known = match known {
            Some(head) if !head.is_compressed && !head.is_of(&file)? => None,
            known => known,
        };
        let head = match known {
            Some(head) => head,
            None => match Head::read(&file, &self.options)? {
                Some(head) => head,
                None => return Ok(false),
            },
        };
        followed.source = Some(head.source.clone());
        let text = self.texts.entry(head.source.clone()).or_insert_with(|| Text::new(head.clone(), &self.appender));
        let note = text.note(length);
        if head.is_compressed {
            if now.saturating_duration_since(followed.since) < SETTLED {
                followed.state = State::Settling;
                return Ok(false);
            }
            if self.appender.last(&note).is_some() {
                followed.state = State::text(head, None);
                return Ok(false);
            }
        }
        let mut delivery = Delivery { appender: &self.appender, report: &mut self.report, observer };
        let end = if head.is_compressed { End::Closed } else { end };
        let has_read = text.read((&path, &file, &head), end, &self.options, &mut delivery)?;
        if head.is_compressed {
            delivery.note(&note)?;
        }
        let file = (!head.is_compressed).then_some(file);
        if let Some(followed) = self.files.get_mut(&key) {
            followed.state = State::text(head, file);
        }
        self.stays_open(key);
        Ok(has_read)
    }

    /// Forgets the texts that were in none of the files for long.
    fn forget(&mut self) -> Result<()> {
        let now = self.appender.now();
        let held: HashSet<&str> = self.files.values().filter_map(|followed| followed.source.as_deref()).collect();
        self.gone.retain(|source, _| !held.contains(source.as_str()));
        for source in self.texts.keys().filter(|source| !held.contains(source.as_str())) {
            self.gone.entry(source.clone()).or_insert(now);
        }
        let old = |since: &Instant| now.saturating_duration_since(*since) >= FORGOTTEN;
        let forgotten: Vec<String> = self.gone.extract_if(|_, since| old(since)).map(|(source, _)| source).collect();
        for source in forgotten {
            let Some(text) = self.texts.remove(&source) else { continue };
            match text.notes().iter().try_for_each(|note| self.appender.forget(note)) {
                Err(error) if is_lasting(&error) => return Err(error),
                Err(_) => _ = self.texts.insert(source, text),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}
