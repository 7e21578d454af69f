//! The files of a directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{archive, error::Result, resources::io_error};

/// The files that a path stands for: itself, or where it is a directory those in it and below, in the order of their
/// paths. Those whose names begin with a dot are left out, and so are archives and directories that are links. This blocks on the
/// file system.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io) where something cannot be read; what vanishes meanwhile is left out.
///
/// ```
/// let directory = tempfile::tempdir()?;
/// std::fs::create_dir(directory.path().join("2022"))?;
/// for name in ["b.log", "2022/a.log", ".hidden"] {
///     std::fs::write(directory.path().join(name), "")?;
/// }
/// let files = flowseek::ingest::files(directory.path())?;
/// let names: Vec<_> = files.iter().map(|path| path.strip_prefix(directory.path()).unwrap().to_str().unwrap()).collect();
/// assert_eq!(names, ["2022/a.log", "b.log"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn files(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let path = path.as_ref();
    let mut files = Vec::new();
    if !fs::metadata(path).map_err(io_error(format!("{} cannot be read", path.display())))?.is_dir() {
        files.push(path.to_owned());
        return Ok(files);
    }
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        let failed = |error| io_error(format!("the directory {} cannot be read", directory.display()))(error);
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && directory != path => continue,
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !archive::is_at(&entry.path()) => directories.push(entry.path()),
                // A link may lead to a file.
                Ok(_) if fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file()) => {
                    files.push(entry.path())
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    files.sort();
    Ok(files)
}
