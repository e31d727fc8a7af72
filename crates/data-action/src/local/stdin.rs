//! Standard input as a file. A file is looked into before it is read, and several parts of it at the same time, which no pipe
//! allows: what it gives is put by in a file without a name.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Where a file is read. Of standard input that is a pipe, where what it gave is put by; it is read to its end at the first time.
///
/// # Errors
/// When it cannot be read, or not be put by.
#[cfg(target_os = "linux")]
pub(super) fn place_of(file: &Path) -> io::Result<PathBuf> {
    use std::{
        os::{fd::AsRawFd, unix::fs::FileTypeExt},
        sync::{Mutex, PoisonError},
    };

    /// How the system names standard input.
    const NAMES: [&str; 3] = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];
    /// What it gave.
    static GIVEN: Mutex<Option<File>> = Mutex::new(None);

    let is_pipe = |found: fs::Metadata| {
        let kind = found.file_type();
        kind.is_fifo() || kind.is_socket()
    };
    if !NAMES.iter().any(|name| file == Path::new(name)) || !is_pipe(fs::metadata(file)?) {
        return Ok(file.to_owned());
    }
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let put_by = match given.take() {
        Some(put_by) => put_by,
        None => {
            let mut put_by = tempfile::tempfile()?;
            io::copy(&mut io::stdin().lock(), &mut put_by)?;
            put_by
        }
    };
    // Opened by this name, it is read from its own begin each time.
    let place = format!("/proc/self/fd/{}", put_by.as_raw_fd());
    *given = Some(put_by);
    Ok(place.into())
}

/// Elsewhere a file without a name cannot be opened a second time.
#[cfg(not(target_os = "linux"))]
pub(super) fn place_of(file: &Path) -> io::Result<PathBuf> {
    Ok(file.to_owned())
}
