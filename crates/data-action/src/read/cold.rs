//! Rows straight from the files, through the engine.

use flowlake_profiler::Phase;
use flowlake_transform::{ErrorKind, Files, RowStream, Run, StoreResolver, Transform};
use futures::StreamExt;

use super::{
    inspected::{Inspected, one_table},
    rows::{RowWriter, Rows},
};
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
        let is_inspection = request.output.inspect.is_some();
        let mut stream = if is_inspection {
            engine.run_with_places(&run).await?
        } else {
            engine.run(&run).await?
        };
        if let Some(progress) = &request.progress {
            progress.scans(stream.probe());
        }
        let mut rows = RowWriter::begin(&request.output, &stream.schema())?;
        let broke_off = write_rows(&mut stream, &mut rows, is_inspection).await?;
        let steps = request.explain.then(|| stream.steps());
        let inspected = match rows.take_summary()? {
            Some(summary) => Some(Box::new(Inspected {
                table: one_table(stream.tables())?,
                summary,
                problems: stream.problems(),
                written: stream.written(),
                broke_off,
                scans: Vec::new(),
            })),
            None => None,
        };
        let steps = steps.unwrap_or_default();
        Ok::<_, ActionError>((rows, stream.stats(), steps, inspected))
    };
    let (rows, stats, steps, inspected) = attempt.phase(Phase::Scan, scan).await?;
    let finish = async { rows.finish(stats, steps) };
    let rows = attempt.phase(Phase::Encode, finish).await?;
    Ok(Rows { inspected, ..rows })
}

/// Writes all rows. An inspection ends at the first malformed record; its error is returned.
async fn write_rows(
    stream: &mut RowStream,
    rows: &mut RowWriter,
    is_inspection: bool,
) -> Result<Option<String>, ActionError> {
    while let Some(batch) = stream.next().await {
        match batch {
            Ok(batch) => rows.push(&batch)?,
            Err(error) if is_inspection && error.kind() == ErrorKind::MalformedData => {
                return Ok(Some(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
