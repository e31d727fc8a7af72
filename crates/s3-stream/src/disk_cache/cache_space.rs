//! The size of a cache, what it accepts when it is full, and what it removes for that.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// After this process has written one part in this many of the cache, it lists the folder again, since other processes write too.
const RELIST_PART: u64 = 16;
/// A full cache removes one part in this many at once.
const REMOVED_PART: u64 = 8;
/// A full cache accepts only objects that were also asked for at least this long ago: objects that are read once would push out
/// those that are in use.
const ADMISSION_AGE: Duration = Duration::from_secs(60);
/// Objects that a full cache remembers to have been asked for.
const REMEMBERED: usize = 10_000;
/// A file that is not complete after this time is one of a process that has ended.
const ABANDONED: Duration = Duration::from_secs(3600);
/// Files take whole blocks of the disk.
const BLOCK_BYTES: u64 = 4096;
/// How often a disk that fails is spoken of.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// The space of one cache on its disk.
#[derive(Debug)]
pub(super) struct CacheSpace {
    folder: PathBuf,
    max_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of all files, as far as this process knows; nothing before it has looked.
    used: Option<u64>,
    written_since: u64,
    warned: Option<SystemTime>,
}

/// A file of the cache.
struct Found {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl CacheSpace {
    pub(super) fn new(folder: PathBuf, max_bytes: u64) -> Self {
        Self {
            folder,
            max_bytes,
            state: Mutex::default(),
        }
    }

    /// Whether a piece of the version `id` may be written; what was used longest ago makes room for it.
    pub(super) fn admits(&self, id: &str, bytes: u64) -> io::Result<bool> {
        let bytes = on_disk(bytes);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state
            .used
            .filter(|_| state.written_since <= self.max_bytes / RELIST_PART);
        let mut used = match known {
            Some(used) => used,
            None => {
                state.written_since = 0;
                self.files()?.iter().map(|file| file.bytes).sum()
            }
        };
        if used + bytes > self.max_bytes {
            if !self.was_asked_for(id)? {
                state.used = Some(used);
                return Ok(false);
            }
            used = self.give_up(used, bytes)?;
        }
        let fits = used + bytes <= self.max_bytes;
        if fits {
            used += bytes;
            state.written_since += bytes;
        }
        state.used = Some(used);
        Ok(fits)
    }

    /// Speaks of a disk that fails, now and then.
    pub(super) fn failed(&self, error: &io::Error) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let is_new = state
            .warned
            .is_none_or(|warned| since(warned, now) > WARN_EVERY);
        if is_new {
            state.warned = Some(now);
            tracing::warn!(%error, "the cache of objects cannot be written; S3 is read without it");
        }
    }

    /// Removes files until the cache has room for `bytes` and an eighth more. Returns the bytes in use then. One process does it at a
    /// time.
    fn give_up(&self, used: u64, bytes: u64) -> io::Result<u64> {
        let lock = File::create(self.folder.join("lock"))?;
        if lock.try_lock().is_err() {
            return Ok(used);
        }
        let mut files = self.files()?;
        let mut used: u64 = files.iter().map(|file| file.bytes).sum();
        let goal = self
            .max_bytes
            .saturating_sub(self.max_bytes / REMOVED_PART + bytes);
        files.sort_by_key(|file| file.used);
        for file in files {
            if used <= goal {
                break;
            }
            if fs::remove_file(&file.path).is_ok() {
                used -= file.bytes;
            }
        }
        Ok(used)
    }

    /// The pieces. Removes what ended processes left.
    fn files(&self) -> io::Result<Vec<Found>> {
        let now = now();
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?;
            if folder.file_name() == ASKED || !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let path = file?.path();
                // Another process may have removed it since.
                let Ok(metadata) = fs::metadata(&path) else {
                    continue;
                };
                let used = metadata.modified()?;
                let is_part = path.extension().is_some_and(|end| end == "part");
                if is_part && since(used, now) > ABANDONED {
                    fs::remove_file(&path).ok();
                    continue;
                }
                found.push(Found {
                    path,
                    bytes: on_disk(metadata.len()),
                    used,
                });
            }
        }
        Ok(found)
    }

    /// Whether a version was asked for some time ago; remembers that it was asked for now.
    fn was_asked_for(&self, id: &str) -> io::Result<bool> {
        let folder = self.folder.join(ASKED);
        fs::create_dir_all(&folder)?;
        let mark = folder.join(id);
        if let Ok(metadata) = fs::metadata(&mark) {
            return Ok(since(metadata.modified()?, now()) > ADMISSION_AGE);
        }
        forget_old(&folder)?;
        OpenOptions::new().create(true).append(true).open(&mark)?;
        Ok(false)
    }
}

/// The folder whose empty files remember versions.
const ASKED: &str = "asked";

/// Forgets the older half of the versions when there are too many.
fn forget_old(folder: &Path) -> io::Result<()> {
    let names: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    if names.len() < REMEMBERED {
        return Ok(());
    }
    let mut marks: Vec<_> = names
        .iter()
        .filter_map(|name| Some((name.metadata().ok()?.modified().ok()?, name.path())))
        .collect();
    marks.sort();
    for (_, path) in &marks[..marks.len() / 2] {
        fs::remove_file(path).ok();
    }
    Ok(())
}

fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES)
}

/// Nothing, when the clock was set back in between.
fn since(earlier: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(earlier).unwrap_or_default()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the times of files are those of the system, and processes share them"
)]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}
