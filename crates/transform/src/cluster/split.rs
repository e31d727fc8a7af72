//! How many tasks a scan has, and which files each of them reads.
//!
//! A large file of plain text is read in parts by several tasks ([`part`]). Parts of Parquet files are as the engine has cut them.

use std::{
    cmp::Reverse,
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use datafusion::{
    common::Result,
    datasource::{
        listing::PartitionedFile,
        object_store::ObjectStoreUrl,
        physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder},
        source::DataSourceExec,
    },
    physical_plan::ExecutionPlan,
    prelude::SessionConfig,
};
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DistributedGetterExt,
    DistributedLeafExec, ScaleUpLeafNodeEvent, ScaleUpLeafNodeEventResponse,
};
use object_store::ObjectMeta;

use crate::{
    explain::files_of,
    scan::{inspect::Facts, part, source::RowsSource},
};

/// Tasks that a scan has at least, so that it is workers that read, and not the coordinator.
const LEAST_TASKS: usize = 2;
/// Parts that the files of a scan are divided into for each task, so that all tasks have the same to do.
const PARTS_PER_TASK: u64 = 4;

/// The groups of a scan that workers are to read: of one group, the engine would make a plan for one machine.
pub(crate) fn at_least_two(mut groups: Vec<FileGroup>, config: &SessionConfig) -> Vec<FileGroup> {
    if groups.len() == 1 && config.get_distributed_worker_resolver().is_ok() {
        groups.push(FileGroup::new(Vec::new()));
    }
    groups
}

/// Which files are not to be divided, and how large parts are.
#[derive(Debug, Clone)]
pub(super) struct Division {
    /// Bytes of a scan that are worth a task.
    pub(super) bytes_per_task: u64,
    /// Whether files of text are read whole.
    pub(super) whole_files: bool,
    pub(super) undivided: Undivided,
}

/// Files that turned out to have records over several lines, where parts of them were to be read. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Undivided(Arc<Mutex<HashSet<String>>>);

/// Files of text that a plan has parts of.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The files.
    pub(super) files: Vec<ObjectMeta>,
    /// How many parts have to be proved to end with a record.
    pub(super) to_prove: u64,
}

impl Undivided {
    /// Files that are remembered.
    const MOST: usize = 10_000;

    fn key(file: &ObjectMeta) -> String {
        format!("{} {:?}", file.location, file.e_tag)
    }

    fn has(&self, file: &ObjectMeta) -> bool {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.contains(&Self::key(file))
    }

    pub(super) fn add(&self, new: &[ObjectMeta]) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() + new.len() > Self::MOST {
            files.clear();
        }
        files.extend(new.iter().take(Self::MOST).map(Self::key));
    }
}

impl Division {
    /// How many parts of at least `bytes` bytes a file may be read in.
    fn parts(&self, scan: &FileScanConfig, file: &PartitionedFile, bytes: u64) -> u64 {
        // A scan that ends early would not prove where its parts begin.
        if self.whole_files || file.range.is_some() || scan.limit.is_some() {
            return 1;
        }
        let Some(facts) = facts_of(scan, file) else {
            return 1;
        };
        if !part::is_divisible(&facts) || self.undivided.has(&file.object_meta) {
            return 1;
        }
        file.object_meta.size.div_ceil(bytes).max(1)
    }

    /// How many tasks a scan has.
    pub(super) fn tasks(
        &self,
        event: &DesiredTaskCountEvent<'_>,
    ) -> Option<DesiredTaskCountEventResponse> {
        let scan = files_of(event.plan.as_ref())?;
        // Workers do not have the files of this machine.
        if scan.object_store_url == ObjectStoreUrl::local_filesystem() {
            return Some(DesiredTaskCountEventResponse::maximum(1));
        }
        let each = self.bytes_per_task.max(1);
        let most: u64 = match is_in_order(scan) {
            true => files(scan).count() as u64,
            false => files(scan).map(|file| self.parts(scan, file, each)).sum(),
        };
        let wanted = bytes(scan).div_ceil(each).min(most);
        let tasks = usize::try_from(wanted).unwrap_or(usize::MAX);
        Some(DesiredTaskCountEventResponse::desired(
            tasks.max(LEAST_TASKS),
        ))
    }

    /// The files of a scan, divided among its tasks.
    pub(super) fn divided(
        &self,
        event: &ScaleUpLeafNodeEvent<'_>,
    ) -> Option<Result<ScaleUpLeafNodeEventResponse>> {
        let scan = files_of(event.plan.as_ref())?;
        let groups = if is_in_order(scan) {
            in_order(scan, event.task_count)
        } else {
            by_size(scan, self.pieces(scan, event.task_count), event.task_count)
        };
        let variants = groups.into_iter().map(|groups| {
            let scan = FileScanConfigBuilder::from(scan.clone());
            let scan = scan.with_file_groups(groups).build();
            DataSourceExec::from_data_source(scan) as Arc<dyn ExecutionPlan>
        });
        let leaf = DistributedLeafExec::try_new(Arc::clone(event.plan), variants);
        Some(leaf.map(|leaf| ScaleUpLeafNodeEventResponse::new(Arc::new(leaf))))
    }

    /// The files of a scan, large ones of text in parts.
    fn pieces(&self, scan: &FileScanConfig, tasks: usize) -> Vec<PartitionedFile> {
        let share = bytes(scan).div_ceil(PARTS_PER_TASK * tasks as u64);
        let least = share.max(self.bytes_per_task).max(1);
        let pieces = files(scan).flat_map(|file| {
            let (parts, size) = (self.parts(scan, file, least), file.object_meta.size);
            let place = move |part: u64| {
                let place = u128::from(size) * u128::from(part) / u128::from(parts);
                i64::try_from(place).unwrap_or(i64::MAX)
            };
            (0..parts).map(move |part| match parts {
                1 => file.clone(),
                _ => file.clone().with_range(place(part), place(part + 1)),
            })
        });
        pieces.collect()
    }
}

fn files(scan: &FileScanConfig) -> impl Iterator<Item = &PartitionedFile> {
    scan.file_groups.iter().flat_map(FileGroup::iter)
}

fn bytes(scan: &FileScanConfig) -> u64 {
    files(scan).map(PartitionedFile::effective_size).sum()
}

const fn is_in_order(scan: &FileScanConfig) -> bool {
    scan.preserve_order || scan.output_partitioning.is_some()
}

/// How many scans the tasks of a plan have together.
pub(super) fn scans(plan: &dyn ExecutionPlan) -> usize {
    let leaf = plan.downcast_ref::<DistributedLeafExec>();
    let own = leaf.map_or(0, |leaf| leaf.variants().len());
    let children = plan.children().into_iter();
    own + children.map(|child| scans(child.as_ref())).sum::<usize>()
}

/// What is known of a file of text.
fn facts_of(scan: &FileScanConfig, file: &PartitionedFile) -> Option<Arc<Facts>> {
    let source = scan.file_source().downcast_ref::<RowsSource>()?;
    source.known(&file.object_meta.location)
}

impl Parts {
    /// The parts of files of text that workers read for a plan.
    pub(super) fn of(plan: &dyn ExecutionPlan) -> Self {
        let mut all = Self::default();
        all.add(plan);
        all
    }

    fn add(&mut self, plan: &dyn ExecutionPlan) {
        if let Some(leaf) = plan.downcast_ref::<DistributedLeafExec>() {
            let scans = leaf.variants().iter();
            let scans = scans.filter_map(|variant| files_of(variant.as_ref()));
            for (scan, file) in scans.flat_map(|scan| files(scan).map(move |file| (scan, file))) {
                let range = file.range.as_ref();
                let (Some(range), Some(facts)) = (range, facts_of(scan, file)) else {
                    continue;
                };
                if range.start == 0 {
                    self.files.push(file.object_meta.clone());
                }
                let is_last = range.end.unsigned_abs() >= file.object_meta.size;
                self.to_prove += u64::from(!is_last && !part::is_certain(&facts));
            }
        }
        for child in plan.children() {
            self.add(child.as_ref());
        }
    }
}

/// Each piece to the task that has the fewest bytes, the largest first; in a task, to the group that has the fewest.
fn by_size(
    scan: &FileScanConfig,
    mut pieces: Vec<PartitionedFile>,
    tasks: usize,
) -> Vec<Vec<FileGroup>> {
    let groups = scan.file_groups.len();
    pieces.sort_by_key(|file| Reverse(file.effective_size()));
    let mut divided = vec![vec![(0_u64, Vec::new()); groups]; tasks];
    for piece in pieces {
        let bytes = |task: &Vec<(u64, Vec<_>)>| task.iter().map(|(bytes, _)| *bytes).sum::<u64>();
        let Some(task) = divided.iter_mut().min_by_key(|task| bytes(task)) else {
            break;
        };
        let Some((bytes, group)) = task.iter_mut().min_by_key(|(bytes, _)| *bytes) else {
            break;
        };
        // A file without a byte is a request all the same.
        *bytes += piece.effective_size().max(1);
        group.push(piece);
    }
    let task = |groups: Vec<(u64, Vec<PartitionedFile>)>| {
        let groups = groups.into_iter().map(|(_, mut files)| {
            let place = |file: &PartitionedFile| file.range.as_ref().map(|range| range.start);
            files.sort_by(|a, b| {
                let keys = a.object_meta.location.cmp(&b.object_meta.location);
                keys.then(place(a).cmp(&place(b)))
            });
            FileGroup::new(files)
        });
        groups.collect()
    };
    divided.into_iter().map(task).collect()
}

/// A part of each group to each task, so that the rows of a group keep their order.
fn in_order(scan: &FileScanConfig, tasks: usize) -> Vec<Vec<FileGroup>> {
    let mut divided = vec![Vec::with_capacity(scan.file_groups.len()); tasks];
    for group in &scan.file_groups {
        let files = group.files();
        let share = files.len().div_ceil(tasks).max(1);
        let mut parts = files.chunks(share);
        for task in &mut divided {
            task.push(FileGroup::new(parts.next().unwrap_or_default().to_vec()));
        }
    }
    divided
}
