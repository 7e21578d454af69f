//! One error for the whole crate: few kinds, each of which tells the caller what to do.

use std::{
    error::Error as StdError,
    fmt,
    path::{Path, PathBuf},
};

/// What to do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Wait for the other writer, or stop it: an archive has one writing process at a time.
    Locked,
    /// Restore or repair the named file: its bytes are not what was written.
    Damaged,
    /// Use a newer version of this crate: the archive was written by one.
    Unsupported,
    /// Look at the system: a disk or file operation failed.
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

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), problems: Vec::new(), file: None, source: None }
    }

    pub(crate) fn invalid_query(problems: Vec<String>) -> Self {
        Self { problems, ..Self::new(ErrorKind::InvalidQuery, "the query is invalid") }
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

    /// Everything that is wrong with a query, one sentence each; empty for the other kinds.
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
            source = error.source().filter(|_| !error.is::<Self>());
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
