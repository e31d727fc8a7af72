//! How many tasks a scan has, and which files each of them reads.
//!
//! A file of text is read by one task: what a part of it is, its beginning says. Parts of Parquet files are as the engine has cut them.

use std::{cmp::Reverse, sync::Arc};

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

use crate::explain::files_of;

/// Tasks that a scan has at least, so that it is workers that read, and not the coordinator.
const LEAST_TASKS: usize = 2;

/// The groups of a scan that workers are to read: of one group, the engine would make a plan for one machine.
pub(crate) fn at_least_two(mut groups: Vec<FileGroup>, config: &SessionConfig) -> Vec<FileGroup> {
    if groups.len() == 1 && config.get_distributed_worker_resolver().is_ok() {
        groups.push(FileGroup::new(Vec::new()));
    }
    groups
}

/// How many tasks a scan has.
pub(super) fn tasks(
    event: &DesiredTaskCountEvent<'_>,
    bytes_per_task: u64,
) -> Option<DesiredTaskCountEventResponse> {
    let scan = files_of(event.plan.as_ref())?;
    // Workers do not have the files of this machine.
    if scan.object_store_url == ObjectStoreUrl::local_filesystem() {
        return Some(DesiredTaskCountEventResponse::maximum(1));
    }
    let files = || scan.file_groups.iter().flat_map(FileGroup::iter);
    let bytes: u64 = files().map(PartitionedFile::effective_size).sum();
    let wanted = usize::try_from(bytes.div_ceil(bytes_per_task.max(1))).unwrap_or(usize::MAX);
    let tasks = wanted.min(files().count()).max(LEAST_TASKS);
    Some(DesiredTaskCountEventResponse::desired(tasks))
}

/// The files of a scan, divided among its tasks.
pub(super) fn divided(
    event: &ScaleUpLeafNodeEvent<'_>,
) -> Option<Result<ScaleUpLeafNodeEventResponse>> {
    let scan = files_of(event.plan.as_ref())?;
    let groups = if scan.preserve_order || scan.output_partitioning.is_some() {
        in_order(scan, event.task_count)
    } else {
        by_size(scan, event.task_count)
    };
    let variants = groups.into_iter().map(|groups| {
        let scan = FileScanConfigBuilder::from(scan.clone());
        let scan = scan.with_file_groups(groups).build();
        DataSourceExec::from_data_source(scan) as Arc<dyn ExecutionPlan>
    });
    let leaf = DistributedLeafExec::try_new(Arc::clone(event.plan), variants);
    Some(leaf.map(|leaf| ScaleUpLeafNodeEventResponse::new(Arc::new(leaf))))
}

/// Each file to the task that has the fewest bytes, the largest first; in a task, to the group that has the fewest.
fn by_size(scan: &FileScanConfig, tasks: usize) -> Vec<Vec<FileGroup>> {
    let groups = scan.file_groups.len();
    let mut files: Vec<&PartitionedFile> =
        scan.file_groups.iter().flat_map(FileGroup::iter).collect();
    files.sort_by_key(|file| Reverse(file.effective_size()));
    let mut divided = vec![vec![(0_u64, Vec::new()); groups]; tasks];
    for file in files {
        let bytes = |task: &Vec<(u64, Vec<_>)>| task.iter().map(|(bytes, _)| *bytes).sum::<u64>();
        let Some(task) = divided.iter_mut().min_by_key(|task| bytes(task)) else {
            break;
        };
        let Some((bytes, group)) = task.iter_mut().min_by_key(|(bytes, _)| *bytes) else {
            break;
        };
        // A file without a byte is a request all the same.
        *bytes += file.effective_size().max(1);
        group.push(file.clone());
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
