//! Kinds of failure of the file system.

use std::{error::Error as StdError, io};

use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};

/// What a failed access to a file means.
///
/// ```
/// use flowseek::resources::Failure;
///
/// let error = std::fs::File::open("there/is/none").unwrap_err();
/// assert_eq!(Failure::of(&error), Failure::Missing);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The system lacks something at the moment: descriptors, memory, a free device, time. The file may be sound, and
    /// the same access may succeed later.
    Transient,
    /// There is no such file.
    Missing,
    /// The disk is full.
    Full,
    /// The bytes are not what they should be: a file ends too early.
    Corrupt,
    /// The system refuses, for a reason that says nothing of the bytes: permissions, a failing device.
    System,
}

impl Failure {
    /// What an error of the system means.
    ///
    /// ```
    /// use std::io;
    /// use flowseek::resources::Failure;
    ///
    /// assert_eq!(Failure::of(&io::ErrorKind::TimedOut.into()), Failure::Transient);
    /// assert_eq!(Failure::of(&io::ErrorKind::NotFound.into()), Failure::Missing);
    /// assert_eq!(Failure::of(&io::ErrorKind::UnexpectedEof.into()), Failure::Corrupt);
    /// assert_eq!(Failure::of(&io::ErrorKind::PermissionDenied.into()), Failure::System);
    /// ```
    pub fn of(error: &io::Error) -> Self {
        use io::ErrorKind::{
            Interrupted, InvalidData, NotFound, OutOfMemory, QuotaExceeded, ResourceBusy, StorageFull, TimedOut,
            UnexpectedEof, WouldBlock,
        };
        if lacks_descriptors(error) {
            return Self::Transient;
        }
        match error.kind() {
            Interrupted | OutOfMemory | ResourceBusy | TimedOut | WouldBlock => Self::Transient,
            NotFound => Self::Missing,
            QuotaExceeded | StorageFull => Self::Full,
            InvalidData | UnexpectedEof => Self::Corrupt,
            _ => Self::System,
        }
    }

    /// The kind of error that tells a caller what to do; `corrupt` where the bytes are to blame.
    fn kind(self, corrupt: ErrorKind) -> ErrorKind {
        match self {
            Self::Corrupt => corrupt,
            Self::Transient => ErrorKind::Busy,
            Self::Missing | Self::Full | Self::System => ErrorKind::Io,
        }
    }
}

/// Whether the process or the system has no file descriptor left.
pub(super) fn lacks_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A closure for `map_err`: what has failed, with the error of the system as source.
pub(crate) fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::with(Failure::of(&error).kind(ErrorKind::Damaged), what)(error)
}

/// A closure for `map_err` of what decodes a file: damage, unless it is the system that has failed.
pub(crate) fn read_error<E>(what: impl Into<String>) -> impl FnOnce(E) -> Error
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    decode_error(what, ErrorKind::Damaged)
}

/// [`read_error`] of what is not a file of an archive, but was handed in.
pub(crate) fn input_error<E>(what: impl Into<String>) -> impl FnOnce(E) -> Error
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    decode_error(what, ErrorKind::InvalidInput)
}

fn decode_error<E>(what: impl Into<String>, corrupt: ErrorKind) -> impl FnOnce(E) -> Error
where
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    move |error| {
        let error = error.into();
        let kind = cause(error.as_ref()).map_or(corrupt, |cause| Failure::of(cause).kind(corrupt));
        Error::with(kind, what)(error)
    }
}

/// What was read; `None` where it is damaged. That the system cannot read it is no sign of damage, and stays an error.
pub(crate) fn undamaged<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind() == ErrorKind::Damaged => Ok(None),
        read => read.map(Some),
    }
}

/// The error of the system that an error comes from.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    std::iter::successors(Some(error), |error| (*error).source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use parquet::errors::ParquetError;

    use super::*;

    #[test]
    fn a_lack_of_the_system_is_found_below_the_error_of_a_decoder_and_is_no_damage() {
        for (errno, failure) in [
            (Errno::MFILE, Failure::Transient),
            (Errno::NFILE, Failure::Transient),
            (Errno::NOMEM, Failure::Transient),
            (Errno::INTR, Failure::Transient),
            (Errno::AGAIN, Failure::Transient),
            (Errno::TIMEDOUT, Failure::Transient),
            (Errno::NOENT, Failure::Missing),
            (Errno::NOSPC, Failure::Full),
            (Errno::IO, Failure::System),
            (Errno::ACCESS, Failure::System),
        ] {
            let error = || io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(Failure::of(&error()), failure, "{errno:?}");
            let decoding = read_error("it cannot be read")(ParquetError::External(Box::new(error())));
            let kind = if failure == Failure::Transient { ErrorKind::Busy } else { ErrorKind::Io };
            assert_eq!((decoding.kind(), decoding.is_disk_full()), (kind, failure == Failure::Full), "{errno:?}");
        }
        let damaged = read_error("it cannot be read")(ParquetError::General("no magic".to_owned()));
        assert_eq!(damaged.kind(), ErrorKind::Damaged);
        let short = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(io_error("it cannot be read")(short).kind(), ErrorKind::Damaged);
    }
}
