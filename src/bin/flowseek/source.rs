//! Where a file's bytes come from.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::Path,
};

/// The argument that is standard input.
pub const STDIN: &str = "-";

/// A file, or standard input.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// Standard input.
    Stdin,
    /// The file at this path.
    File(&'a Path),
}

impl<'a> Source<'a> {
    /// What an argument names: `-` is standard input.
    pub fn new(argument: &'a Path) -> Self {
        if argument.as_os_str() == STDIN { Self::Stdin } else { Self::File(argument) }
    }

    /// Makes sure that it can be opened; its size in bytes, where that is known before it is read.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn check(&self) -> Result<Option<u64>, String> {
        let Self::File(path) = self else { return Ok(None) };
        let failed = |error: io::Error| format!("{self}: {error}");
        let metadata = fs::metadata(path).map_err(failed)?;
        // Opening a pipe and closing it again would end its writer.
        if !metadata.is_file() {
            return Ok(None);
        }
        File::open(path).map_err(failed)?;
        Ok(Some(metadata.len()))
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("-"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
