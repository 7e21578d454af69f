//! What a version of an archive consists of.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use super::{
    aged::Aged,
    id_ranges::IdRanges,
    identity::Identity,
    partition::{Group, Partition},
};
use crate::{
    error::{Error, ErrorKind, Result},
    filter::{Bounds, Filter},
    flow::{Field, FlowId, Span, Timestamp, ValueRef},
    order::{CursorKey, Seal},
    resources::Random,
    segment::{BloomPlace, SegmentReader, SegmentSummary, ZoneMap},
};

/// The version of the format of manifests and of the layout of the directory.
const FORMAT: u32 = 1;

/// A version of an archive: its segments. The file is this and the identity of the archive as one line of JSON, and a line
/// with its XXH64 in hex.
///
/// ```
/// use flowseek::Archive;
///
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let manifest = snapshot.manifest();
/// assert_eq!((manifest.version, manifest.segments.len(), manifest.rows()), (2, 1, 2592));
/// assert_eq!(manifest.next_flow_id, 2593);
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The number of the version; each commit adds one.
    pub version: u64,
    /// The identity of the archive and the key of its cursors. `None` of an archive without flows whose manifest was
    /// written before there were such. Only the file has it: who shows a manifest to others does not show the key.
    #[serde(skip)]
    identity: Option<Identity>,
    /// The number that the next flow gets.
    pub next_flow_id: u64,
    /// The segments, in the order they were added.
    pub segments: Vec<SegmentEntry>,
    /// Files that made older versions and may still be read by whoever has a snapshot of one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<Retired>,
    /// The IDs of flows in segments that were put aside, as no manifest named them. They are given to no other flow, so
    /// that a repair can take these back.
    #[serde(default, skip_serializing_if = "IdRanges::is_empty")]
    pub(super) aside: IdRanges,
    /// Of each source whose batches have numbers, the number of the last batch that is part of this version, by
    /// [`LiveAppender::append_once`](crate::ingest::LiveAppender::append_once).
    #[serde(default, skip_serializing_if = "Sources::is_empty")]
    pub sources: Sources,
    /// How far retention by age has come that goes on by itself. `None` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) aged: Option<Aged>,
    /// How compaction divides flows, by [`Writer::partition`](super::Writer::partition). `None` where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
}

/// The last numbers of sources, by their names.
pub(crate) type Sources = BTreeMap<String, u64>;

/// A segment in a manifest.
///
/// ```
/// use flowseek::Archive;
///
/// let snapshot = Archive::open("testdata/archive")?.snapshot()?;
/// let segment = &snapshot.manifest().segments[0];
/// assert!(segment.path.starts_with("data/2009-11-18-"));
/// assert_eq!((segment.rows, segment.flow_id), (2592, (1, 2592)));
/// assert_eq!(segment.start_times().0.to_string(), "2009-11-18T08:00:21.486Z");
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Its file, from the archive's directory on, with `/`.
    pub path: String,
    /// How many flows it has.
    pub rows: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// The least and the greatest start time, in milliseconds since 1970.
    pub start_time: (i64, i64),
    /// The least and the greatest flow ID.
    pub flow_id: (u64, u64),
    /// The first version with it; 0 where that is not known.
    #[serde(default)]
    pub added: u64,
    /// The XXH64 with seed 0 of its Parquet footer: of the bytes from the end of its index on. The checksums of all
    /// other bytes are in the index. `None` of segments that were written before footers had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footer: Option<u64>,
    /// The bounds of all its fields, in base64url without padding. `None` of segments that were added before manifests had
    /// them, until a writer has one open when it commits, and of zone maps in a form that this version does not know.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "zones")]
    pub zones: Option<ZoneMap>,
    /// Where its Bloom filter lies in its file. `None` of segments without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bloom: Option<BloomPlace>,
    /// Of which group all its flows are. `None` where they may be of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<Group>,
}

impl SegmentEntry {
    pub(super) fn new(path: String, summary: &SegmentSummary) -> Self {
        Self {
            path,
            rows: summary.rows,
            bytes: summary.bytes,
            start_time: (summary.start_time.0.as_millis(), summary.start_time.1.as_millis()),
            flow_id: (summary.flow_id.0.get(), summary.flow_id.1.get()),
            added: 0,
            footer: Some(summary.footer),
            zones: Some(summary.zones.clone()),
            bloom: summary.bloom,
            group: None,
        }
    }

    /// What there is to say of an opened segment; `None` where its bounds or its footer cannot be read.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the file cannot be read.
    pub(super) fn of(reader: &SegmentReader, path: String) -> Result<Option<Self>> {
        let whole = reader.whole();
        let extent = |field: Field| match whole.field(field)?.values? {
            (ValueRef::Number(least), ValueRef::Number(greatest)) => {
                u64::try_from(least).ok().zip(u64::try_from(greatest).ok())
            }
            _ => None,
        };
        let Some(((oldest, newest), flow_id)) = extent(Field::StartTime).zip(extent(Field::FlowId)) else {
            return Ok(None);
        };
        Ok(Some(Self {
            path,
            rows: reader.shape().rows as u64,
            bytes: reader.file_bytes(),
            start_time: (Timestamp::ordinal_millis(oldest), Timestamp::ordinal_millis(newest)),
            flow_id,
            added: 0,
            footer: Some(reader.footer_checksum()?),
            zones: Some(ZoneMap::of(&whole)),
            bloom: reader.bloom_place(),
            group: None,
        }))
    }

    /// The least and the greatest value of a field, and whether a flow has none; `None` where that is not known. They may be
    /// wider than the values are.
    pub fn bounds(&self, field: Field) -> Option<Span<'_>> {
        self.field(field)
    }

    /// The least and the greatest start time.
    pub fn start_times(&self) -> (Timestamp, Timestamp) {
        let time = |millis, otherwise| Timestamp::from_millis(millis).unwrap_or(otherwise);
        (time(self.start_time.0, Timestamp::MIN), time(self.start_time.1, Timestamp::MAX))
    }
}

/// A segment that was part of an archive.
///
/// ```
/// use flowseek::{Archive, Flow, Retention, Timestamp};
///
/// # let directory = tempfile::tempdir()?;
/// let archive = Archive::open_or_create(directory.path().join("flows"))?;
/// # let mut appender = archive.appender()?;
/// # appender.push(&Flow::starting("2022-11-01T22:46:01Z".parse()?))?;
/// # appender.commit()?;
/// # drop(appender);
/// // One flow is committed, and then removed as too old.
/// let segment = archive.snapshot()?.manifest().segments[0].clone();
/// let before: Timestamp = "2023-01-01T00:00:00Z".parse()?;
/// let retained = archive.writer()?.retain(Retention::default().before(before))?;
/// let retired = archive.snapshot()?.manifest().retired[0].clone();
/// assert_eq!(retired.path, segment.path);
/// assert_eq!((retired.added, retired.removed), (segment.added, retained.version));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Its path, when it was part of the archive.
    pub path: String,
    /// The first version with it; 0 where that is not known.
    pub added: u64,
    /// The first version without it.
    pub removed: u64,
    /// Until when its file stays, whoever reads it: milliseconds since 1970. `None` where it goes as soon as nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// A change of an archive.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    /// New flows: the IDs before `next_flow_id` are then taken, and so are the numbers of their sources up to these.
    Append { segments: Vec<SegmentEntry>, next_flow_id: u64, sources: Sources },
    /// The last number of a source is not needed any more.
    Forget(String),
    /// Segments for others, by their paths: what was merged or removed, and what has come of it.
    Replace { removed: HashSet<String>, segments: Vec<SegmentEntry> },
    /// Retention: segments that go whole and whose files stay until a time, others that were cut, and what is left of these.
    Retain {
        removed: HashSet<String>,
        until: Option<i64>,
        cut: HashSet<String>,
        segments: Vec<SegmentEntry>,
        aged: Option<Aged>,
    },
    /// No file stays that retention has removed.
    EndGrace,
    /// A segment goes whole or for what is left of it.
    Remove { path: String, segments: Vec<SegmentEntry> },
    /// A replacement, where what has come of it may have flows that were aside; `aside` is what still is.
    Restore { removed: HashSet<String>, segments: Vec<SegmentEntry>, aside: IdRanges },
    /// Segments that were retired, and whose files are still there.
    PutBack(Vec<SegmentEntry>),
    /// These IDs are not given to new flows.
    SetAside(IdRanges),
    /// Compaction divides flows like this, or not.
    Partition(Option<Partition>),
}

/// What is known of a segment before it is opened.
impl Bounds for SegmentEntry {
    fn field(&self, field: Field) -> Option<Span<'_>> {
        let values = match field {
            Field::StartTime => {
                let (oldest, newest) = self.start_times();
                (oldest.into(), newest.into())
            }
            Field::FlowId => (FlowId::new(self.flow_id.0).into(), FlowId::new(self.flow_id.1).into()),
            _ => return self.zones.as_ref()?.field(field),
        };
        Some(Span { values: Some(values), absent: false })
    }

    fn rows(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn flag_masks(&self) -> (u8, u8) {
        self.zones.as_ref().map_or((u8::MAX, 0), Bounds::flag_masks)
    }

    fn passing(&self, part: &Filter) -> Option<u64> {
        self.group.as_ref().is_some_and(|group| group.excludes(part)).then_some(0)
    }
}

impl Manifest {
    /// The manifest of an archive that was just created.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system gives no random numbers.
    pub(super) fn first(random: &dyn Random) -> Result<Self> {
        let identity = Some(Identity::random(random)?);
        Ok(Self { identity, ..Self::of_segments(Vec::new()) })
    }

    /// The same with the zone maps that `zones` knows of segments which have none.
    pub(super) fn with_zones(mut self, zones: impl Fn(&str) -> Option<ZoneMap>) -> Self {
        for segment in self.segments.iter_mut().filter(|segment| segment.zones.is_none()) {
            segment.zones = zones(&segment.path);
        }
        self
    }

    /// A version of these segments.
    pub(super) fn of_segments(segments: Vec<SegmentEntry>) -> Self {
        Self {
            format: FORMAT,
            version: 1,
            identity: None,
            next_flow_id: 1,
            segments,
            retired: Vec::new(),
            aside: IdRanges::default(),
            sources: Sources::new(),
            aged: None,
            partition: None,
        }
    }

    /// The same with an identity of its own, if it has none.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system gives no random numbers.
    pub(super) fn identified(self, random: &dyn Random) -> Result<Self> {
        let identity = self.identity.map_or_else(|| Identity::random(random), Ok)?;
        Ok(Self { identity: Some(identity), ..self })
    }

    /// The seal of the archive's cursors, with this key or its own.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where the cipher refuses its parameters.
    pub(super) fn seal(&self, key: Option<&CursorKey>) -> Result<Seal> {
        const NONE: &Identity = &Identity::none();
        let identity = self.identity.as_ref().unwrap_or(NONE);
        Seal::new(key.unwrap_or(identity.key()), identity.archive())
    }

    /// The next version, without the retired files in `gone`, which are deleted. `None` where the change does not
    /// apply: a segment that it replaces is not there.
    pub(super) fn with(&self, edit: Edit, gone: &HashSet<String>) -> Option<Self> {
        let version = self.version + 1;
        let mut next = Self { version, ..self.clone() };
        next.retired.retain(|retired| !gone.contains(&retired.path));
        let new = match edit {
            Edit::Append { segments, next_flow_id, sources } => {
                next.next_flow_id = next_flow_id;
                for (source, sequence) in sources {
                    let last = next.sources.entry(source).or_default();
                    *last = sequence.max(*last);
                }
                segments
            }
            Edit::Forget(source) => {
                next.sources.remove(&source)?;
                Vec::new()
            }
            Edit::Replace { removed, segments } => {
                next.retire(&removed, None)?;
                segments
            }
            Edit::Retain { removed, until, cut, segments, aged } => {
                next.retire(&removed, until)?;
                next.retire(&cut, None)?;
                next.aged = aged.or(next.aged);
                segments
            }
            Edit::Remove { path, segments } => {
                next.retire(&HashSet::from([path]), None)?;
                segments
            }
            Edit::EndGrace => {
                next.retired.iter_mut().for_each(|retired| retired.until = None);
                Vec::new()
            }
            Edit::Restore { removed, segments, aside } => {
                next.retire(&removed, None)?;
                let last = segments.iter().map(|segment| segment.flow_id.1).max();
                next.next_flow_id = next.next_flow_id.max(last.map_or(0, |last| last.saturating_add(1)));
                next.aside = aside;
                segments
            }
            Edit::PutBack(segments) => {
                for segment in segments {
                    let place = next.retired.iter().position(|retired| retired.path == segment.path)?;
                    // Versions before it was removed have it, too, and some may be read.
                    let added = next.retired.remove(place).added;
                    next.segments.push(SegmentEntry { added, ..segment });
                }
                Vec::new()
            }
            Edit::SetAside(ids) => {
                next.next_flow_id = next.next_flow_id.max(ids.last().map_or(0, |last| last.saturating_add(1)));
                ids.ranges().for_each(|(first, last)| next.aside.insert(first, last));
                Vec::new()
            }
            Edit::Partition(partition) => {
                next.partition = partition;
                Vec::new()
            }
        };
        next.segments.extend(new.into_iter().map(|segment| SegmentEntry { added: version, ..segment }));
        Some(next)
    }

    /// Makes segments retired ones, whose files stay until a time; `None` where one of them is not there.
    fn retire(&mut self, removed: &HashSet<String>, until: Option<i64>) -> Option<()> {
        let segments = std::mem::take(&mut self.segments);
        let (old, kept): (Vec<_>, Vec<_>) = segments.into_iter().partition(|segment| removed.contains(&segment.path));
        let is_whole = old.len() == removed.len();
        self.segments = kept;
        let version = self.version;
        let retire = |old: SegmentEntry| Retired { path: old.path, added: old.added, removed: version, until };
        self.retired.extend(old.into_iter().map(retire));
        is_whole.then_some(())
    }

    /// The same as the next version.
    pub(super) fn again(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    /// The next version, with these new segments.
    pub(super) fn followed_by(&self, segments: Vec<SegmentEntry>, next_flow_id: u64) -> Option<Self> {
        self.with(Edit::Append { segments, next_flow_id, sources: Sources::new() }, &HashSet::new())
    }

    /// How many flows the archive has.
    pub fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.rows).sum()
    }

    /// Bytes of all its segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn encode(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(flatten)]
            manifest: &'a Manifest,
            #[serde(skip_serializing_if = "Option::is_none")]
            identity: Option<&'a Identity>,
        }
        let line = serde_json::to_string(&Line { manifest: self, identity: self.identity.as_ref() })
            .map_err(Error::with(ErrorKind::Internal, "a manifest could not be written as JSON"))?;
        let sum = XxHash64::oneshot(0, line.as_bytes());
        Ok(format!("{line}\n{sum:016x}\n"))
    }

    /// The manifest of version `version` in a file of these bytes.
    pub(super) fn decode(bytes: &[u8], version: u64) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            identity: Option<serde_json::Value>,
        }
        let damaged = || Error::damaged("it is not what was written");
        let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
        let (line, rest) = text.split_once('\n').ok_or_else(damaged)?;
        if format!("{:016x}\n", XxHash64::oneshot(0, line.as_bytes())) != rest {
            return Err(damaged());
        }
        let Head { format, identity } = serde_json::from_str(line).map_err(|_| damaged())?;
        if format != FORMAT {
            let message = format!("it has format {format}; this version of flowseek reads {FORMAT}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let mut manifest: Self = serde_json::from_str(line).map_err(|_| damaged())?;
        if manifest.version != version {
            return Err(damaged());
        }
        manifest.identity = match identity {
            Some(identity) => Some(serde_json::from_value(identity).map_err(|_| damaged())?),
            // Every reader derives the same, and the next commit writes it down: cursors survive that.
            None if !manifest.segments.is_empty() => Some(Identity::derived(line)?),
            None => None,
        };
        Ok(manifest)
    }
}

/// Zone maps as text.
mod zones {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::segment::ZoneMap;

    pub(super) fn serialize<S: Serializer>(zones: &Option<ZoneMap>, serializer: S) -> Result<S::Ok, S::Error> {
        match zones {
            Some(zones) => serializer.serialize_str(&URL_SAFE_NO_PAD.encode(zones.as_bytes())),
            None => serializer.serialize_none(),
        }
    }

    /// A zone map in another form is no error: without one the segment is opened.
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ZoneMap>, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| ZoneMap::from_bytes(&bytes)))
    }
}
