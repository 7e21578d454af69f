//! One error for the whole crate: few kinds, each of which tells the caller what to do.

use std::{
    error::Error as StdError,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Serialize, Serializer};

/// What to do about an [`Error`]: the first sentence of each kind says what the caller does first.
///
/// ```
/// use flowseek::{Archive, ErrorKind};
///
/// let error = Archive::open("there/is/none").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert!(!error.is_retryable());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ErrorKind {
    /// Correct the query: [`Error::problems`] lists everything that is wrong with it, at once.
    InvalidQuery,
    /// Start again at the first page: the cursor is damaged, or of another version, another archive or another query.
    InvalidCursor,
    /// Correct the flow or the file that was handed in; what was good of it is kept where the caller says so.
    InvalidInput,
    /// Create the archive, or correct its path.
    NotFound,
    /// Wait for the other writer, or stop it: an archive has one writing process at a time. A writer whose lock was
    /// taken from it fails with this kind from then on: drop it, and open the archive for writing anew.
    Locked,
    /// Make another appender: this one was shut down, and takes nothing any more.
    Closed,
    /// Ask again a little later, or for less: nothing is wrong with the request, and nothing is damaged. The system had
    /// no descriptor, memory or time for it at that moment, or the budget of the query ran out.
    Busy,
    /// Restore or repair the named file: its bytes are not what was written.
    Damaged,
    /// Use a newer version of this crate: the archive was written by one.
    Unsupported,
    /// Look at the system: a disk or file operation failed. Make room first where [`Error::is_disk_full`] says so.
    Io,
    /// Report it: an invariant of this crate or of one below it does not hold.
    Internal,
}

/// An error: a message, the problems of a bad query, and the source where there is one.
///
/// ```
/// use flowseek::{ErrorKind, wire::Request};
///
/// let error = Request::parse("dstPrt=443&limit=many").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidQuery);
/// assert_eq!(error.problems().len(), 2);
/// assert!(error.problems()[0].contains("did you mean `dstPort`"));
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    problems: Vec<String>,
    /// The file that it is about.
    file: Option<PathBuf>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// As its message, with those of its sources.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is no value of a type.
///
/// ```
/// let error = "10.0.0.0/33".parse::<flowseek::flow::AddressRange>().unwrap_err();
/// assert_eq!(error.to_string(), "\"33\" in \"10.0.0.0/33\" is not a prefix length from 0 to 32");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(String);

impl ParseError {
    pub(crate) fn new(reason: String) -> Self {
        Self(reason)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for ParseError {}

impl From<ParseError> for String {
    fn from(error: ParseError) -> Self {
        error.0
    }
}

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), problems: Vec::new(), file: None, source: None }
    }

    pub(crate) fn invalid_query(problems: Vec<String>) -> Self {
        Self { problems, ..Self::new(ErrorKind::InvalidQuery, "the query is invalid") }
    }

    /// A budget that does not suffice for what was asked.
    pub(crate) fn exhausted(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()], ..Self::new(ErrorKind::Busy, "the budget of the query has run out") }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    /// A closure for `map_err`: this kind and message, with the error as source.
    pub(crate) fn with<E>(kind: ErrorKind, message: impl Into<String>) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        move |source| Self { source: Some(source.into()), ..Self::new(kind, message) }
    }

    /// The same error, of a file.
    pub(crate) fn of_file(self, file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    /// The file that could not be read, where that is known.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call, repeated after a while, may succeed though nobody has mended anything.
    ///
    /// ```
    /// use flowseek::wire::Request;
    ///
    /// let wrong = Request::parse("dstPrt=443").unwrap_err();
    /// assert!(!wrong.is_retryable());
    /// ```
    pub fn is_retryable(&self) -> bool {
        self.kind == ErrorKind::Busy
    }

    /// Whether a disk is full, or a quota is used up. What could not be written is kept by whoever was to write it, and
    /// the same call succeeds once there is room.
    ///
    /// ```
    /// let missing = flowseek::Archive::open("there/is/none").unwrap_err();
    /// assert!(!missing.is_disk_full());
    /// ```
    pub fn is_disk_full(&self) -> bool {
        let mut source = self.source();
        while let Some(error) = source {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
                return true;
            }
            source = error.source();
        }
        false
    }

    /// Everything that is wrong with a query, or what exceeds its budget, one sentence each; empty where the error is not
    /// about the query.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { ": " } else { "; " })?;
        }
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            // One of these has told its own sources.
            source = error.source().filter(|_| !error.is::<Self>() && !error.is::<Arc<Self>>());
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_through_every_error_around_it() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let told = Error::with(ErrorKind::Io, "a commit")(Error::with(ErrorKind::Io, "a segment")(full()));
        assert!(told.is_disk_full());
        let shared = Error::with(ErrorKind::Io, "two wait")(Arc::new(told));
        assert!(shared.is_disk_full());
        assert_eq!(shared.to_string(), format!("two wait: a commit: a segment: {}", full()));
        assert!(!Error::internal("another").is_disk_full());
    }
}
