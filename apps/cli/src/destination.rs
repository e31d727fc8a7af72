//! Where rows go: to standard output or a file, and there only when the attempt has ended well.

use std::{
    fs::{self, File, Permissions},
    io::{self, IsTerminal, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::{Builder, NamedTempFile};

use crate::format::Format;

/// A file that nobody sees yet, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Destination {
    file: NamedTempFile,
    to: Option<PathBuf>,
}

impl Destination {
    /// A file beside the one that it will be, or in the system's folder for temporary files.
    ///
    /// # Errors
    /// Where no file can be made, and where what is there is no file: it would be gone.
    pub(crate) fn new(to: Option<&Path>, format: Format) -> io::Result<Self> {
        if to.is_none() && format.is_binary() && io::stdout().is_terminal() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this format is not for a terminal: name a file with --output, or use a pipe",
            ));
        }
        let Some(to) = to else {
            let file = NamedTempFile::new()?;
            return Ok(Self { file, to: None });
        };
        let (file, to) = beside(to).map_err(|error| unwritable(to, &error))?;
        Ok(Self { file, to: Some(to) })
    }

    /// For the pipeline to write to.
    pub(crate) fn handle(&self) -> io::Result<Arc<File>> {
        Ok(Arc::new(self.file.as_file().try_clone()?))
    }

    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())
    }

    /// Makes the rows seen.
    pub(crate) fn release(mut self) -> io::Result<()> {
        if let Some(to) = self.to {
            self.file.as_file().sync_all()?;
            return self
                .file
                .persist(&to)
                .map(drop)
                .map_err(|error| unwritable(&to, &error.error));
        }
        self.file.rewind()?;
        let mut stdout = io::stdout().lock();
        io::copy(&mut self.file, &mut stdout)?;
        stdout.flush()
    }
}

/// A file in the folder of another, to take its place with the rights that it has; and that place, which a link may only point to.
fn beside(to: &Path) -> io::Result<(NamedTempFile, PathBuf)> {
    let (place, rights) = match fs::metadata(to) {
        Ok(found) if found.is_file() => (fs::canonicalize(to)?, Some(found.permissions())),
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no file; leave --output out and use `>` for a pipe or a device",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (to.to_owned(), None),
        Err(error) => return Err(error),
    };
    let folder = place.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = Builder::new();
    if let Some(rights) = of_new_files() {
        builder.permissions(rights);
    }
    let file = builder.tempfile_in(folder.unwrap_or_else(|| Path::new(".")))?;
    if let Some(rights) = rights {
        file.as_file().set_permissions(rights)?;
    }
    Ok((file, place))
}

/// What any program gives a new file, of which the system takes what the user's mask says.
#[cfg(unix)]
fn of_new_files() -> Option<Permissions> {
    Some(std::os::unix::fs::PermissionsExt::from_mode(0o666))
}

#[cfg(not(unix))]
const fn of_new_files() -> Option<Permissions> {
    None
}

fn unwritable(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot write {}: {error}", path.display()),
    )
}
