//! The id of a log, made once and kept in its folder: segments of two logs have the same names, and may be shipped to one place.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::seal::Seal;
use super::segment;
use crate::error::{Error, ErrorKind};

const NAME: &str = "audit.id";

/// The id of the log in `directory`, which must have been opened once.
pub(super) fn read(directory: &Path) -> Result<String, Error> {
    let path = directory.join(NAME);
    let text = fs::read_to_string(&path).map_err(|error| Error::unreadable(&path, error))?;
    parse(&text, &path)
}

/// The id of the log in `directory`, if its file is there.
pub(super) fn find(directory: &Path) -> Result<Option<String>, Error> {
    let path = directory.join(NAME);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::unreadable(&path, error)),
    }
}

/// The id of the log in `directory`, made where there is none: that of its seals, so that a log keeps its id when the file is lost.
/// The folder has to be synced afterwards.
pub(super) fn open(directory: &Path) -> Result<String, Error> {
    let path = directory.join(NAME);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text, &path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let sealed = segment::sealed(directory)?.into_iter().rev();
            let sealed = sealed.filter_map(|segment| Seal::read(&segment).ok()??.ok()?.body.log_id);
            let id = sealed.map(|id| Uuid::parse_str(&id)).find_map(Result::ok);
            let id = id.unwrap_or_else(Uuid::new_v4).to_string();
            write(&path, &id).map_err(|error| Error::unwritable(&path, error))?;
            Ok(id)
        }
        Err(error) => Err(Error::unreadable(&path, error)),
    }
}

/// Writes it so that it is there whole or not at all.
fn write(path: &PathBuf, id: &str) -> Result<(), std::io::Error> {
    let draft = path.with_extension("id.tmp");
    let mut file = File::create(&draft)?;
    writeln!(file, "{id}")?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn parse(text: &str, path: &Path) -> Result<String, Error> {
    // It becomes a part of keys: nothing but an id may.
    Uuid::parse_str(text.trim())
        .map(|id| id.to_string())
        .map_err(|error| {
            let message = format!("{} holds no UUID, restore it or delete it", path.display());
            Error::new(ErrorKind::Broken, message).with_source(error)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            read(folder.path()).unwrap_err().kind(),
            ErrorKind::Unreadable
        );
        let id = open(folder.path()).unwrap();
        assert_eq!(open(folder.path()).unwrap(), id);
        assert_eq!(read(folder.path()).unwrap(), id);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(open(other.path()).unwrap(), id);
    }

    #[test]
    fn something_else_is_not_taken_for_an_id() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "../../elsewhere"] {
            fs::write(folder.path().join(NAME), text).unwrap();
            assert_eq!(open(folder.path()).unwrap_err().kind(), ErrorKind::Broken);
            assert_eq!(read(folder.path()).unwrap_err().kind(), ErrorKind::Broken);
        }
    }
}
