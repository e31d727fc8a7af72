//! One request of a person at a shell: a signal stops it, and its rows come out whole or not at all.

use std::{io::Seek, path::Path, sync::Arc};

use flowlake_data_action::{
    ActionError, ActionRequest, Answer, ErrorCode, Failure as ActionFailure, Pipeline, Progress,
    RowFormat, RowOutput,
};
use rustyline::{Behavior, Config, DefaultEditor};

use crate::{
    destination::Destination, failure::Failure, format::Format, interrupt::Interrupt, output,
    progress::ProgressLine, spreadsheet, terminal::Terminal,
};

/// How rows are written, and where to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery<'a> {
    pub(crate) format: Format,
    /// A file or an object; standard output when there is none.
    pub(crate) to: Option<&'a Path>,
    pub(crate) view: View,
}

/// Which parts of an answer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Its rows. A table is at most `width` columns wide.
    Rows { width: Option<usize> },
    /// Its rows, and where they are a table or JSON, what the server says with them.
    Answer,
    /// All of it, where it is a table or JSON.
    Full,
}

impl Delivery<'_> {
    /// The encoding of rows that are written as they come, and not kept in memory.
    fn encoding(self) -> Option<RowFormat> {
        match (self.format, self.view) {
            (Format::Json, View::Rows { .. }) => Some(RowFormat::Json),
            (format, _) => format.of_rows(self.to),
        }
    }

    /// What is written behind the rows that are there already: all of them, where they are kept in memory.
    fn text(self, answer: &Answer) -> Result<String, Failure> {
        match (self.format, self.view) {
            (Format::Table, View::Rows { width }) => {
                let width = width.filter(|_| self.to.is_none());
                Ok(output::table(answer, width)? + "\n")
            }
            (Format::Json, View::Rows { .. }) => Ok("\n".to_owned()),
            (Format::Table | Format::Json, view) => {
                output::answer(answer, self.format, view == View::Full)
            }
            _ => Ok(String::new()),
        }
    }
}

/// Runs a request and writes its rows.
///
/// # Errors
/// Of the request, and of writing its rows.
pub(crate) async fn delivered(
    pipeline: &Pipeline,
    mut request: ActionRequest,
    delivery: Delivery<'_>,
    interrupt: &Interrupt,
) -> Result<Answer, Failure> {
    let Delivery { format, to, .. } = delivery;
    interrupt.work_begins();
    let mut destination = Destination::new(to, format)?;
    interrupt.removes(destination.unfinished());
    // A spreadsheet is made once all rows are there; any other file takes them as they come.
    let sheet = match format {
        Format::Xlsx => Some(Arc::new(tempfile::tempfile()?)),
        _ => None,
    };
    request.output = match delivery.encoding() {
        // Rows alone can be many: they are put by until the audit record is written, and are not kept in memory.
        Some(format) => RowOutput {
            format,
            file: Some(sheet.clone().map_or_else(|| destination.handle(), Ok)?),
            ..RowOutput::default()
        },
        None => RowOutput {
            reader: format.reader(),
            ..RowOutput::default()
        },
    };
    request.output.object = destination.object();
    let answer = finished(pipeline, request, interrupt).await?;
    if answer.not_modified {
        return Ok(answer);
    }
    let drawn = match &sheet {
        Some(rows) => {
            let drawn = (&**rows).rewind().map_err(Failure::from);
            drawn.and_then(|()| spreadsheet::write(rows, answer.row_count, &destination))
        }
        None => delivery
            .text(&answer)
            .and_then(|text| Ok(destination.write(&text)?)),
    };
    deliver(pipeline, &answer, destination, drawn).await?;
    Ok(answer)
}

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

/// Asks the person at the terminal. Ctrl-C and Ctrl-D are a no.
#[expect(clippy::print_stderr, reason = "a question for the terminal alone")]
fn is_confirmed(error: &ActionError) -> bool {
    eprintln!("{}", error.message());
    let terminal = Config::builder().behavior(Behavior::PreferTerm).build();
    let said = DefaultEditor::with_config(terminal)
        .and_then(|mut editor| editor.readline("Read it? [y/N] "));
    said.is_ok_and(|said| matches!(said.trim(), "y" | "Y" | "yes"))
}

async fn once(
    pipeline: &Pipeline,
    mut request: ActionRequest,
    interrupt: &Interrupt,
) -> Result<Answer, ActionFailure> {
    interrupt.work_begins();
    request.cancellation = interrupt.work();
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

/// Releases the destination, unless writing to it has failed.
///
/// # Errors
/// Of the write, which has a record of its own then; a reader that goes away is none.
async fn deliver(
    pipeline: &Pipeline,
    answer: &Answer,
    destination: Destination,
    written: Result<(), Failure>,
) -> Result<(), Failure> {
    let released = match written {
        Ok(()) => destination.release(pipeline).await,
        Err(failure) => Err(failure),
    };
    noted(pipeline, answer, released).await
}

/// Records a failure to write rows, and returns it.
///
/// # Errors
/// As it is given.
pub(crate) async fn noted(
    pipeline: &Pipeline,
    answer: &Answer,
    written: Result<(), Failure>,
) -> Result<(), Failure> {
    if let Err(failure) = &written
        && let Some(error) = failure.undelivered()
    {
        pipeline.undelivered(answer, &error).await?;
    }
    written
}
