//! Where rows go: to standard output or a file, and there only when the attempt has ended well.

use std::{
    fs::File,
    io::{self, IsTerminal, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::NamedTempFile;

use crate::format::Format;

/// A file that nobody sees yet, and what becomes of it.
#[derive(Debug)]
pub(crate) struct Destination {
    file: NamedTempFile,
    to: Option<PathBuf>,
}

impl Destination {
    /// A file beside the one that it will be, or in the system's folder for temporary files.
    pub(crate) fn new(to: Option<&Path>, format: Format) -> io::Result<Self> {
        if to.is_none() && format.is_binary() && io::stdout().is_terminal() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this format is not for a terminal: name a file with --output, or use a pipe",
            ));
        }
        let file = match to {
            None => NamedTempFile::new()?,
            Some(to) => {
                let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
                NamedTempFile::new_in(folder.unwrap_or_else(|| Path::new(".")))
                    .map_err(|error| unwritable(to, &error))?
            }
        };
        Ok(Self {
            file,
            to: to.map(Path::to_owned),
        })
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

fn unwritable(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot write {}: {error}", path.display()),
    )
}
