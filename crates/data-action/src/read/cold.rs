//! Rows straight from the files, through the engine.

use flowlake_profiler::Phase;
use flowlake_transform::{Files, Run, StoreResolver, Transform};
use futures::StreamExt;

use super::rows::{RowWriter, Rows};
use crate::{ActionError, ActionRequest, admit::Admitted, attempt::Attempt};

/// Runs the SQL over the files of a plan.
pub(crate) async fn rows(
    engine: &Transform,
    attempt: &Attempt,
    admitted: &Admitted,
    files: &Files,
    stores: &dyn StoreResolver,
    request: &ActionRequest,
) -> Result<Rows, ActionError> {
    let scan = async {
        let run = Run {
            prepared: &admitted.action.prepared,
            bound: &admitted.bound,
            files,
            stores,
        };
        let mut stream = engine.run(&run).await?;
        if let Some(progress) = &request.progress {
            progress.scans(stream.probe());
        }
        let mut rows = RowWriter::begin(&request.output, &stream.schema())?;
        while let Some(batch) = stream.next().await {
            rows.push(&batch?)?;
        }
        let steps = request.explain.then(|| stream.steps());
        Ok::<_, ActionError>((rows, stream.stats(), steps.unwrap_or_default()))
    };
    let (rows, stats, steps) = attempt.phase(Phase::Scan, scan).await?;
    let finish = async { rows.finish(stats, steps) };
    attempt.phase(Phase::Encode, finish).await
}
