//! Flows from files.

use std::{ffi::OsStr, fs, io, path::PathBuf, sync::Arc, time::Duration};

use clap::{
    Arg, Args, Command,
    builder::{NonEmptyStringValueParser, OsStringValueParser, PossibleValue, TypedValueParser},
};
use flowseek::{
    Archive, LiveOptions,
    flow::MAX_TEXT_BYTES,
    import::{Mapping, Unit},
    ingest::{self, Appender, ImportEvent, ImportFormat, ImportOptions, ImportReport, NodeMap, Strictness},
};
use indicatif::ProgressBar;

use super::{
    amount, archive_path,
    failure::{Failure, answer, say},
    follow::{Input, follow},
    progress,
    source::{STDIN, Source},
    threads,
};

/// The rejected lines of a file that are reported one by one.
const MAX_REPORTED: u64 = 20;
/// The remarks on a file that are printed, one a line.
const MAX_REMARKS: usize = 20;
/// The name of no format: it is found out.
const AUTO: &str = "auto";
/// What stands before the path of a mapping file.
const MAPPED: &str = "map:";

/// Appends the flows of files to an archive, which is created where there is none.
///
/// A line that is no flow is reported on standard error and left out; so are, once a file, keys and columns that no flow
/// has, and logs of something else. A file that cannot be read to its end, because
/// it was cut off or is of no known format, makes the exit status 1; what was read of it is imported nevertheless.
/// All that is imported becomes part of the archive at once; after any other failure, nothing does.
///
/// With `--follow` it does not end: what is written to the files, or comes on standard input, becomes part of the archive within
/// about a second, and small segments are merged meanwhile. Files may be rotated. How far each was read is kept in the archive, so that
/// no line is lost and none is there twice when it is started again. SIGINT and SIGTERM end it.
#[derive(Debug, Args)]
pub struct Import {
    /// The archive.
    #[arg(value_parser = OsStringValueParser::new().try_map(archive_path::parse))]
    archive: PathBuf,
    /// Files, plain or compressed with gzip, zstd, bzip2, xz or lz4, and directories, with all the files in them; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The format of the files; auto finds it out, file by file, and map:FILE is one that a mapping file describes.
    #[arg(long, default_value = AUTO, value_parser = Formats)]
    format: Chosen,
    /// The ID of the node that has logged the flows whose records name none.
    #[arg(long, value_name = "ID")]
    node_id: Option<String>,
    /// A file of blocks of addresses and names of nodes, one a line, such as `10.7.0.0/16 edge-7`: the nodes of both ends, where
    /// records name none, are those of the smallest blocks that their addresses lie in.
    #[arg(long, value_name = "MAP")]
    nodes: Option<PathBuf>,
    /// Import nothing at all where a line is no flow or a file cannot be read.
    #[arg(long)]
    strict: bool,
    /// Go on reading what is written to the files or to standard input.
    #[arg(long, conflicts_with = "strict")]
    follow: bool,
    /// With `--follow`, remove flows that started longer ago: 90d, 36h.
    #[arg(long, value_name = "DURATION", value_parser = amount::duration, requires = "follow")]
    keep: Option<i64>,
    /// With `--follow`, remove the oldest flows beyond so many bytes of segments: 10GB, 512MiB.
    #[arg(long, value_name = "SIZE", value_parser = amount::size, requires = "follow")]
    max_bytes: Option<u64>,
}

/// What `--format` chooses.
#[derive(Clone, Debug)]
enum Chosen {
    Auto,
    Known(ImportFormat),
    Mapped(Mapping),
}

/// Reads what `--format` is given, and tells the names of the formats to help and to shells.
#[derive(Clone)]
struct Formats;

impl TypedValueParser for Formats {
    type Value = Chosen;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Chosen, clap::Error> {
        NonEmptyStringValueParser::new().try_map(format).parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = ImportFormat::ALL.map(ImportFormat::name);
        Some(Box::new([AUTO].into_iter().chain(names).map(PossibleValue::new)))
    }
}

fn format(text: String) -> Result<Chosen, String> {
    if text == AUTO {
        return Ok(Chosen::Auto);
    }
    let Some(path) = text.strip_prefix(MAPPED) else {
        let more = format!("; or {AUTO}, or {MAPPED}FILE");
        return text.parse().map(Chosen::Known).map_err(|reason| format!("{reason}{more}"));
    };
    let mapping = fs::read_to_string(path).map_err(|error| error.to_string());
    let mapping = mapping.and_then(|text| text.parse::<Mapping>().map_err(|reason| reason.to_string()));
    mapping.map(Chosen::Mapped).map_err(|reason| format!("{path}: {reason}"))
}

impl Import {
    /// Imports file after file, and commits them all at once; or follows them.
    pub fn run(&self) -> Result<(), Failure> {
        if self.follow {
            return self.run_on();
        }
        let files = self.all_files()?;
        let sources: Vec<Source<'_>> = files.iter().map(|path| Source::new(path)).collect();
        // A name that is wrong is found before anything is done.
        let sizes: Result<Vec<Option<u64>>, String> = sources.iter().map(Source::check).collect();
        let sizes = sizes.map_err(Failure::Failed)?;
        let options = self.options()?;
        let archive = Archive::open_or_create(&self.archive)?;
        let mut appender = archive.appender()?;
        let bar = progress::bytes(sizes.iter().copied().sum());
        let (mut rejected, mut skipped, mut unread) = (0, 0, 0);
        for (source, size) in sources.iter().zip(sizes) {
            let begin = bar.position();
            let mut watch = Watch { source, bar: &bar, begin, rejected: 0, unit: Unit::Line };
            match import(&mut appender, options.clone(), &mut watch) {
                Ok(report) => {
                    watch.finish(&report);
                    skipped += report.skipped;
                }
                Err(error) if self.strict => {
                    return Err(Failure::Failed(format!("{source}: {error}; nothing was imported")));
                }
                Err(error) => {
                    unread += 1;
                    bar.suspend(|| say(format_args!("flowseek: {source}: {error}")));
                }
            }
            rejected += watch.rejected;
            bar.set_position(size.map_or(bar.position(), |size| begin + size));
        }
        let imported = appender.commit()?.flows;
        bar.finish_and_clear();
        let skipped = if skipped > 0 { format!(" skipped={skipped}") } else { String::new() };
        let answered = answer(format_args!("imported={imported} rejected={rejected}{skipped}"));
        match unread {
            0 => answered,
            _ => Err(Failure::Failed(format!("{unread} of {} files could not be read to the end", sources.len()))),
        }
    }

    /// Follows the files, or standard input.
    fn run_on(&self) -> Result<(), Failure> {
        let has_stdin = self.files.iter().any(|path| path.as_os_str() == STDIN);
        let input = match self.files.as_slice() {
            [_] if has_stdin => Input::Stdin,
            _ if has_stdin => {
                return Err(Failure::Usage("--follow: `-`, standard input, is followed alone".to_owned()));
            }
            files => {
                for path in files {
                    fs::metadata(path).map_err(|error| Failure::Failed(format!("{}: {error}", path.display())))?;
                }
                Input::Files(files.to_vec())
            }
        };
        let options = self.options()?;
        let archive = Archive::open_or_create(&self.archive)?;
        let live = LiveOptions::default()
            .keep(self.keep.map(|millis| Duration::from_millis(millis.unsigned_abs())))
            .max_bytes(self.max_bytes);
        threads::runtime()?.block_on(follow(&archive, input, options, live))
    }

    /// The files, with those of directories.
    fn all_files(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut all = Vec::new();
        for path in &self.files {
            match path.is_dir() {
                true => all.extend(ingest::files(path)?),
                false => all.push(path.clone()),
            }
        }
        Ok(all)
    }

    fn options(&self) -> Result<ImportOptions, Failure> {
        let nodes = self.nodes.as_ref().map(|path| {
            let wrong =
                |reason: &dyn std::fmt::Display| Failure::Usage(format!("--nodes {}: {reason}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
            text.parse::<NodeMap>().map(Arc::new).map_err(|error| wrong(&error))
        });
        if self.node_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_TEXT_BYTES) {
            return Err(Failure::Usage(format!("--node-id: allowed are 1 to {MAX_TEXT_BYTES} bytes")));
        }
        Ok(ImportOptions::default()
            .format(if let Chosen::Known(format) = self.format { Some(format) } else { None })
            .mapping(if let Chosen::Mapped(mapping) = &self.format { Some(mapping.clone()) } else { None })
            .strictness(if self.strict { Strictness::Strict } else { Strictness::Lenient })
            .node_id(self.node_id.clone())
            .nodes(nodes.transpose()?))
    }
}

fn import(appender: &mut Appender, options: ImportOptions, watch: &mut Watch<'_>) -> flowseek::Result<ImportReport> {
    let source = *watch.source;
    let mut observer = |event| watch.observe(event);
    match source {
        Source::Stdin => appender.import(io::stdin(), options, &mut observer),
        Source::File(path) => appender.import_file(path, options, &mut observer),
    }
}

/// Tells people how the import of a file goes.
struct Watch<'a> {
    source: &'a Source<'a>,
    bar: &'a ProgressBar,
    /// Where the bar stood before this file.
    begin: u64,
    rejected: u64,
    /// What the file consists of, as what was rejected of it says.
    unit: Unit,
}

impl Watch<'_> {
    fn observe(&mut self, event: ImportEvent) {
        match event {
            ImportEvent::Rejected(rejected) => {
                self.rejected += 1;
                self.unit = rejected.unit;
                if self.rejected <= MAX_REPORTED {
                    self.bar.suspend(|| say(format_args!("{}: {rejected}", self.source)));
                }
            }
            ImportEvent::Progress { bytes, .. } => self.bar.set_position(self.begin + bytes),
            _ => {}
        }
    }

    /// Says how many rejected lines were not reported, what it may mean that all were rejected, and what is to be said once
    /// of the whole file.
    fn finish(&self, report: &ImportReport) {
        let Self { source, unit, .. } = self;
        if self.rejected > MAX_REPORTED {
            let more = self.rejected - MAX_REPORTED;
            self.bar.suspend(|| say(format_args!("{source}: {more} more {unit}s were rejected")));
        }
        if self.rejected > 0 && report.imported + report.skipped == 0 {
            let hint = format_args!("every {unit} was rejected; it may be of another format (see --format)");
            self.bar.suspend(|| say(format_args!("{source}: {hint}")));
        }
        let remarks = report.remarks.to_string();
        for remark in remarks.lines().take(MAX_REMARKS) {
            self.bar.suspend(|| say(format_args!("{source}: {remark}")));
        }
        if let more @ 1.. = remarks.lines().count().saturating_sub(MAX_REMARKS) {
            self.bar.suspend(|| say(format_args!("{source}: {more} more remarks are left out")));
        }
    }
}
