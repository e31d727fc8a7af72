//! Small files, fetched before they are asked for. The engine opens one file at a time, and each is a request: where a request
//! takes a while, most of the time would be spent waiting.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use datafusion::{
    common::{Result, runtime::SpawnedTask},
    datasource::physical_plan::{FileGroup, FileScanConfig},
};
use object_store::{ObjectMeta, ObjectStore, path::Path};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    TableScan,
    head::{self, HEAD_BYTES, Head, WHOLE_BYTES},
    opener::external,
};
use crate::{Error, ErrorKind, Format, formats::detect};

/// Files that are fetched ahead, at most.
const MOST_FILES: usize = 128;
/// Files that are fetched ahead for each that was asked for.
const GROWTH: usize = 4;
/// Bytes that are fetched ahead, at most.
const MOST_BYTES: u64 = 16 << 20;
/// What a file counts at least among those that all scans of the process fetch ahead: each is a connection too.
const LEAST_SHARE: u64 = 128 << 10;
/// Bytes that all scans of the process together fetch ahead, in KiB: of the smallest files, 256.
static ALL_KIB: Semaphore = Semaphore::const_new(32 << 10);

/// The files of one scan.
#[derive(Debug)]
pub(crate) struct Ahead {
    scan: Arc<TableScan>,
    store: Arc<dyn ObjectStore>,
    /// One for all partitions that take files from one queue, or one for each of them.
    lines: Vec<Mutex<Line>>,
}

/// Files in the order in which they will be asked for.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<(Path, u64)>,
    fetched: HashMap<Path, Fetched>,
    fetched_bytes: u64,
    /// Files that were asked for so far.
    opened: usize,
}

/// A file that is fetched, or has been.
#[derive(Debug)]
struct Fetched {
    bytes: u64,
    fetch: Fetch,
    _share: SemaphorePermit<'static>,
}

type Fetch = SpawnedTask<object_store::Result<Head>>;

impl Ahead {
    /// `parquet` says whether files of that format are fetched, or all others.
    pub(crate) fn new(
        scan: &Arc<TableScan>,
        store: &Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        parquet: bool,
    ) -> Self {
        // As the engine divides them: an idle task takes the next one of all, unless an order has to be kept.
        let is_shared = !config.preserve_order && config.output_partitioning.is_none();
        let groups = config.file_groups.iter();
        let lines: Vec<Line> = if is_shared {
            vec![Line::of(scan, groups, parquet)]
        } else {
            groups
                .map(|group| Line::of(scan, [group], parquet))
                .collect()
        };
        Self {
            scan: Arc::clone(scan),
            store: Arc::clone(store),
            lines: lines.into_iter().map(Mutex::new).collect(),
        }
    }

    /// The head of the file that a partition opens, which is all of a small one. Files behind it are fetched meanwhile.
    pub(crate) async fn head(&self, partition: usize, file: &ObjectMeta) -> Result<Head> {
        let path = &file.location;
        let Some(fetch) = self.take(partition, path) else {
            let head = head::read(self.store.as_ref(), path, file.size, HEAD_BYTES);
            return Ok(head.await?);
        };
        let broken_down = |_panicked| {
            external(Error::new(
                ErrorKind::Internal,
                "a file could not be fetched",
            ))
        };
        Ok(fetch.join().await.map_err(broken_down)??)
    }

    /// Whether a file of Parquet is read whole: of a larger one, other parts than the footer may not be needed.
    pub(crate) fn reads(&self, file: &ObjectMeta) -> bool {
        self.scan.reads_whole(file)
    }

    /// All of a file for which [`Self::reads`] says so.
    pub(crate) async fn whole(&self, partition: usize, file: &ObjectMeta) -> Result<Bytes> {
        if let Some(head) = self.scan.heads.get(&file.location) {
            return Ok(head.bytes);
        }
        Ok(self.head(partition, file).await?.bytes)
    }

    fn take(&self, partition: usize, path: &Path) -> Option<Fetch> {
        let line = self.lines.get(partition).or(self.lines.first())?;
        let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
        line.opened += 1;
        let own = line.fetched.remove(path);
        match &own {
            Some(own) => line.fetched_bytes -= own.bytes,
            // Files before it were opened too: their heads were known.
            None => {
                let mut next = line.waiting.iter().take(MOST_FILES);
                if let Some(place) = next.position(|(next, _)| next == path) {
                    line.waiting.drain(..=place);
                }
            }
        }
        self.fill(&mut line);
        own.map(|own| own.fetch)
    }

    /// Fetches what comes next: few files as long as few were asked for, since a query of few rows stops early, no more bytes
    /// than may still be taken, and nothing where other scans fetch as much as the process may.
    fn fill(&self, line: &mut Line) {
        let most = MOST_FILES.min(GROWTH * line.opened);
        while line.fetched.len() < most {
            let room = MOST_BYTES.min(self.scan.meter.room());
            let size = line.waiting.front().map(|(_, size)| *size);
            let Some(bytes) = size.filter(|size| line.fetched_bytes + size <= room) else {
                return;
            };
            let Ok(share) = ALL_KIB.try_acquire_many(share_kib(bytes)) else {
                return;
            };
            let Some((path, size)) = line.waiting.pop_front() else {
                return;
            };
            if self.scan.heads.get(&path).is_some() {
                continue;
            }
            let (store, file) = (Arc::clone(&self.store), path.clone());
            let fetch = SpawnedTask::spawn(async move {
                head::read(store.as_ref(), &file, size, HEAD_BYTES).await
            });
            line.fetched_bytes += bytes;
            let fetched = Fetched {
                bytes,
                fetch,
                _share: share,
            };
            line.fetched.insert(path, fetched);
        }
    }
}

/// What a file of this size takes of [`ALL_KIB`].
fn share_kib(bytes: u64) -> u32 {
    let share = bytes.max(LEAST_SHARE).div_ceil(1 << 10);
    u32::try_from(share).unwrap_or(u32::MAX)
}

impl Line {
    /// The small files of Parquet, or all other small files.
    fn of<'a>(
        scan: &TableScan,
        groups: impl IntoIterator<Item = &'a FileGroup>,
        parquet: bool,
    ) -> Self {
        let is_parquet = |path: &Path| {
            let format = scan
                .spec
                .format
                .or_else(|| detect::by_name(path.as_ref()).0);
            format == Some(Format::Parquet)
        };
        let files = groups.into_iter().flat_map(FileGroup::iter);
        let files = files.map(|file| &file.object_meta);
        let small = files.filter(|file| match parquet {
            true => scan.reads_whole(file),
            false => file.size <= WHOLE_BYTES && !is_parquet(&file.location),
        });
        Self {
            waiting: small
                .map(|file| (file.location.clone(), file.size))
                .collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL_KIB, MOST_BYTES, MOST_FILES, WHOLE_BYTES, share_kib};

    #[test]
    fn all_scans_together_have_a_bound_and_one_alone_has_its_own() {
        let all = u64::try_from(ALL_KIB.available_permits()).unwrap();
        assert_eq!(all << 10, 2 * MOST_BYTES);
        // Files without a byte are connections all the same.
        assert_eq!(all / u64::from(share_kib(0)), 2 * MOST_FILES as u64);
        assert_eq!(u64::from(share_kib(WHOLE_BYTES)) << 10, WHOLE_BYTES);
    }
}
