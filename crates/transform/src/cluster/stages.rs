//! How a query would be divided among workers, for looking at.

use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::{DistributedLeafExec, NetworkBoundaryExt};

use crate::{Error, Run, StageExplanation, Transform, explain::files_of};

impl Transform {
    /// The parts of the query that workers would do, those that read files first; none where this machine does all.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn stages(&self, run: &Run<'_>) -> Result<Vec<StageExplanation>, Error> {
        let planned = self.planned(run).await?;
        let mut stages = Vec::new();
        walk(planned.physical.as_ref(), &mut stages);
        stages.sort_by_key(|stage| stage.number);
        Ok(stages)
    }
}

fn walk(plan: &dyn ExecutionPlan, stages: &mut Vec<StageExplanation>) {
    if let Some(boundary) = plan.as_network_boundary() {
        let stage = boundary.input_stage();
        let mut files = vec![0; stage.task_count()];
        if let Some(plan) = stage.local_plan() {
            files_of_tasks(plan.as_ref(), &mut files);
        }
        stages.push(StageExplanation {
            number: stage.num(),
            tasks: stage.task_count(),
            files,
        });
    }
    for child in plan.children() {
        walk(child.as_ref(), stages);
    }
}

/// Counts the files that each task of a stage reads itself, or a part of.
fn files_of_tasks(plan: &dyn ExecutionPlan, files: &mut [usize]) {
    if plan.as_network_boundary().is_some() {
        return;
    }
    if let Some(leaf) = plan.downcast_ref::<DistributedLeafExec>() {
        for (files, task) in files.iter_mut().zip(leaf.variants()) {
            let groups = files_of(task.as_ref()).map(|scan| scan.file_groups.iter());
            *files += groups
                .into_iter()
                .flatten()
                .map(|group| group.len())
                .sum::<usize>();
        }
    }
    for child in plan.children() {
        files_of_tasks(child.as_ref(), files);
    }
}
