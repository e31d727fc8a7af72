//! Where rows go: to standard output, a file or an object of S3, and there only when the attempt has ended well.

use std::{
    fs::{self, File, Permissions},
    io::{self, IsTerminal, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::{Compression, write::GzEncoder};
use flowlake_data_action::{ActionError, ErrorCode, OutputObject, Pipeline};
use tempfile::{Builder, NamedTempFile};

use crate::{
    failure::Failure,
    format::{Format, GZIP},
};

/// A file that nobody sees yet, and what happens to it.
#[derive(Debug)]
pub(crate) struct Destination {
    place: Place,
    /// The rows before they are compressed, where the place's name says that they are.
    plain: Option<File>,
}

#[derive(Debug)]
enum Place {
    /// Rows for standard output, in a file without a name, which nothing can leave behind.
    Stdout(File),
    /// Rows for a file, in one beside it.
    Named(NamedTempFile, PathBuf),
    /// Rows for an object, in a file without a name.
    Object(File, OutputObject),
}

impl Destination {
    /// A file beside the one that it will be, or in the system's folder for temporary files.
    ///
    /// # Errors
    /// Where no file can be made, and where what is there is no file: it would be gone.
    pub(crate) fn new(to: Option<&Path>, format: Format) -> Result<Self, Failure> {
        if to.is_none() && format.is_binary() && io::stdout().is_terminal() {
            return Err(Failure::Io(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this format is not for a terminal: name a file with --output, or use a pipe",
            )));
        }
        let is_gzip = to.is_some_and(|to| to.to_string_lossy().to_lowercase().ends_with(GZIP));
        if is_gzip && format.is_binary() {
            return Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                "this format is not written inside gzip: it is compressed by itself, or is read in pieces",
                "Leave `.gz` out of the name, or choose csv, tsv, ndjson or json.",
            )
            .into());
        }
        Ok(Self {
            place: Place::of(to)?,
            plain: is_gzip.then(tempfile::tempfile).transpose()?,
        })
    }

    /// The name of the file that is not whole yet.
    pub(crate) fn unfinished(&self) -> Option<&Path> {
        match &self.place {
            Place::Named(file, _) => Some(file.path()),
            _ => None,
        }
    }

    /// For the pipeline to write to.
    pub(crate) fn handle(&self) -> io::Result<Arc<File>> {
        Ok(Arc::new(self.file().try_clone()?))
    }

    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        self.file().write_all(text.as_bytes())
    }

    /// The object that the rows are for.
    pub(crate) fn object(&self) -> Option<OutputObject> {
        match &self.place {
            Place::Object(_, object) => Some(object.clone()),
            _ => None,
        }
    }

    /// Makes the rows seen.
    pub(crate) async fn release(self, pipeline: &Pipeline) -> Result<(), Failure> {
        if let Some(mut plain) = self.plain {
            plain.rewind()?;
            let mut gzip = GzEncoder::new(self.place.file(), Compression::default());
            io::copy(&mut plain, &mut gzip)?;
            gzip.finish()?;
        }
        let written = match self.place {
            Place::Object(mut file, object) => {
                file.rewind()?;
                return Ok(pipeline.upload(&object, file).await?);
            }
            Place::Stdout(mut file) => {
                file.rewind()?;
                let mut stdout = io::stdout().lock();
                io::copy(&mut file, &mut stdout).and_then(|_| stdout.flush())
            }
            Place::Named(file, to) => {
                file.as_file().sync_all()?;
                let released = file.persist(&to).map(drop);
                released.map_err(|error| unwritten(&to, &error.error))
            }
        };
        Ok(written?)
    }

    /// The file that rows are written to.
    pub(crate) fn file(&self) -> &File {
        self.plain.as_ref().unwrap_or_else(|| self.place.file())
    }
}

impl Place {
    fn of(to: Option<&Path>) -> Result<Self, Failure> {
        // A file in its place would take the place of what others have written to it.
        let Some(to) = to.filter(|to| !is_stdout(to)) else {
            return Ok(Self::Stdout(tempfile::tempfile()?));
        };
        if is_object(to) {
            let object = to.display().to_string().parse()?;
            return Ok(Self::Object(tempfile::tempfile()?, object));
        }
        let (file, to) = beside(to).map_err(|error| unwritten(to, &error))?;
        Ok(Self::Named(file, to))
    }

    fn file(&self) -> &File {
        match self {
            Self::Stdout(file) | Self::Object(file, _) => file,
            Self::Named(file, _) => file.as_file(),
        }
    }
}

/// Whether a place is an object of S3.
pub(crate) fn is_object(to: &Path) -> bool {
    to.to_str().is_some_and(|text| text.starts_with("s3://"))
}

/// Whether a place is what standard output goes to already, such as `/dev/stdout`.
#[cfg(unix)]
fn is_stdout(to: &Path) -> bool {
    use std::os::{fd::AsFd, unix::fs::MetadataExt};

    let stdout = io::stdout().as_fd().try_clone_to_owned();
    let stdout = stdout.and_then(|stdout| File::from(stdout).metadata());
    match (fs::metadata(to), stdout) {
        (Ok(to), Ok(stdout)) => (to.dev(), to.ino()) == (stdout.dev(), stdout.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
const fn is_stdout(_to: &Path) -> bool {
    false
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
    if let Some(missing) = folder.filter(|folder| !folder.exists()) {
        let what = format!("there is no folder {}", missing.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, what));
    }
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

fn unwritten(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot write {}: {error}", path.display()),
    )
}
