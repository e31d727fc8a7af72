//! One request of a person at a shell: a signal stops it, and its rows come out whole or not at all.

use std::{io, sync::Arc};

use flowlake_data_action::{
    ActionError, ActionRequest, Answer, ErrorCode, Failure as ActionFailure, Pipeline, Progress,
};

use crate::{
    destination::Destination, failure::Failure, interrupt::Interrupt, progress::ProgressLine,
    terminal::Terminal,
};

/// Runs a request to its end; a signal ends it earlier, with its audit record. On a terminal, a large read is asked about.
pub(crate) async fn finished(
    pipeline: &Pipeline,
    mut request: ActionRequest,
    interrupt: &Interrupt,
) -> Result<Answer, ActionFailure> {
    let answer = once(pipeline, request.clone(), interrupt).await;
    match answer {
        Err(failure)
            if failure.error.code() == ErrorCode::LimitUnconfirmed
                && Terminal::get().can_ask
                && is_confirmed(&failure.error) =>
        {
            request.confirm = None;
            once(pipeline, request, interrupt).await
        }
        answer => answer,
    }
}

/// Asks the person at the terminal.
#[expect(clippy::print_stderr, reason = "a question for the terminal alone")]
fn is_confirmed(error: &ActionError) -> bool {
    eprint!("{}\nRead it? [y/N] ", error.message());
    let mut said = String::new();
    let read = io::stdin().read_line(&mut said);
    read.is_ok() && matches!(said.trim(), "y" | "Y" | "yes")
}

async fn once(
    pipeline: &Pipeline,
    mut request: ActionRequest,
    interrupt: &Interrupt,
) -> Result<Answer, ActionFailure> {
    interrupt.work_begins();
    request.cancellation = interrupt.work().clone();
    let progress = Arc::<Progress>::default();
    request.progress = Some(Arc::clone(&progress));
    let line = ProgressLine::watch(&progress);
    let answer = pipeline.run(request).await;
    drop(line);
    interrupt.work_is_done();
    answer.map_err(|failure| match failure.error.code() {
        ErrorCode::Cancelled => ActionFailure {
            error: ActionError::new(
                ErrorCode::Cancelled,
                "stopped before the answer was ready",
                "Nothing was written.",
            ),
            ..failure
        },
        _ => failure,
    })
}

/// Gives the rows out, which are in the destination already or are this text.
///
/// # Errors
/// Of the write, which has a record of its own then; a reader that goes away is none.
pub(crate) async fn deliver(
    pipeline: &Pipeline,
    answer: &Answer,
    mut destination: Destination,
    text: &str,
) -> Result<(), Failure> {
    let released = match destination.write(text) {
        Ok(()) => destination.release(pipeline).await,
        Err(error) => Err(error.into()),
    };
    if let Err(failure) = &released
        && let Some(error) = failure.undelivered()
    {
        pipeline.undelivered(answer, &error).await?;
    }
    released
}
