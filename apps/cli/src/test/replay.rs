//! `flowlake test --replay`: the last requests of the audit log, put to the actions of a git revision and to those of now.
//!
//! Both read the objects that are there now, each with caches of its own, and each attempt has its audit record, in a log beside that
//! of the server.

mod requests;
mod revision;

use std::path::Path;

use flowlake_cost_audit::audit;
use flowlake_data_action::{
    ActionError, Answer, ErrorCode, Failure as ActionFailure, Pipeline, ProcessEnvironment,
    Project, nearest,
};
use rust_decimal::Decimal;

use self::requests::{Replayable, Requests};
use super::{
    arguments::Test,
    compare::{self, Counts},
    file::Expect,
    outcome::DIFFERS,
    report::different,
};
use crate::{
    answering::finished, colour::Colour, failure::Failure, interrupt::Interrupt, output, run,
    terminal::Terminal, text,
};

/// What is added to the name of the audit log's folder: a running server has the lock of that one.
const OWN_LOG: &str = "-replay";

pub(super) async fn replay(config: &Path, arguments: &Test, count: usize) -> Result<(), Failure> {
    let mut project = Project::load(config)?;
    if let Some(error) = project.broken.values().next() {
        return Err(error.clone().into());
    }
    for name in &arguments.actions {
        if !project.actions.contains_key(name) {
            let what = format!("there is no action `{name}`");
            let meant = nearest(name, project.actions.keys());
            let is_count = name.parse::<usize>().is_ok();
            let advice = match meant {
                Some(known) => format!("Did you mean `{known}`?"),
                None if is_count => format!("Write --replay={name}."),
                None => "Name an action of the project.".to_owned(),
            };
            return Err(ActionError::new(ErrorCode::ActionUnknown, what, advice).into());
        }
    }
    let old = revision::actions(&project.folder, &arguments.against)?;
    let log = project.config.audit.log.directory.clone();
    if !log.is_dir() {
        return Err(ActionError::new(
            ErrorCode::AuditUnreadable,
            format!("there is no audit log in {}", log.display()),
            "Run an action first: its record begins the log.",
        )
        .into());
    }
    let logs = audit::logs(&log).map_err(ActionError::from)?;
    let requests = Requests::last(&logs, count, &arguments.actions, &project, &old)?;
    let mut name = log.into_os_string();
    name.push(OWN_LOG);
    project.record_in(name.into());
    let mut before = project.clone();
    before.actions = old;
    // A budget of an action that came later.
    let known = &before.actions;
    let budgets = &mut before.config.budget.actions;
    budgets.retain(|name, _| known.contains_key(name));
    let (before, after) = (pipeline(before).await?, pipeline(project).await?);
    let colour = Terminal::get().stdout;
    let mut totals = Totals::default();
    let interrupt = Interrupt::listen()?;
    for (number, request) in requests.replayable.iter().enumerate() {
        // Neither is always the first to read a file.
        let (old, new) = if number % 2 == 0 {
            let old = answer(&before, request, &interrupt).await;
            (old, answer(&after, request, &interrupt).await)
        } else {
            let new = answer(&after, request, &interrupt).await;
            (answer(&before, request, &interrupt).await, new)
        };
        let lines = totals.compare(request, &old, &new, colour)?;
        output::print(&lines)?;
    }
    output::print(&totals.summary(&requests, &arguments.against, colour))?;
    match totals.differ {
        0 => Ok(()),
        _ => Err(Failure::Findings(DIFFERS)),
    }
}

/// A pipeline that reads every file for every request.
async fn pipeline(mut project: Project) -> Result<Pipeline, Failure> {
    for action in project.actions.values_mut() {
        action.hot = false;
        action.index.clear();
        action.cache = None;
    }
    Ok(Pipeline::builder(project)
        .build(&ProcessEnvironment)
        .await?)
}

async fn answer(
    pipeline: &Pipeline,
    request: &Replayable,
    interrupt: &Interrupt,
) -> Result<Answer, ActionFailure> {
    let asked = run::request(&request.action, request.params.clone());
    finished(pipeline, asked, interrupt).await
}

/// What all requests came to.
#[derive(Debug, Default)]
struct Totals {
    same: usize,
    differ: usize,
    old: Effort,
    new: Effort,
}

/// What answers took.
#[derive(Debug, Clone, Copy, Default)]
struct Effort {
    milliseconds: f64,
    bytes: u64,
    usd: Option<Decimal>,
}

impl Effort {
    fn of(answer: &Answer) -> Self {
        let cost = &answer.cost_tracking;
        Self {
            milliseconds: answer.duration_ms,
            bytes: cost.bytes,
            usd: cost.metered.as_ref().map(|cost| cost.total_usd),
        }
    }

    fn add(&mut self, other: Self) {
        self.milliseconds += other.milliseconds;
        self.bytes += other.bytes;
        self.usd = match (self.usd, other.usd) {
            (Some(sum), Some(usd)) => Some(sum + usd),
            (sum, usd) => sum.or(usd),
        };
    }

    /// Time, bytes and price, before and after.
    fn beside(self, new: Self) -> String {
        let usd = |effort: Self| {
            let usd = effort.usd.map(|usd| format!("{} USD", usd.normalize()));
            usd.unwrap_or_else(|| "no price known".to_owned())
        };
        format!(
            "{:.1} ms → {:.1} ms, {} → {}, {} → {}",
            self.milliseconds,
            new.milliseconds,
            text::bytes(self.bytes),
            text::bytes(new.bytes),
            usd(self),
            usd(new)
        )
    }
}

impl Totals {
    /// The lines of one request.
    fn compare(
        &mut self,
        request: &Replayable,
        old: &Result<Answer, ActionFailure>,
        new: &Result<Answer, ActionFailure>,
        colour: Colour,
    ) -> Result<String, Failure> {
        let (told, detail) = match (old, new) {
            (Ok(old), Ok(new)) => {
                let (before, after) = (Effort::of(old), Effort::of(new));
                self.old.add(before);
                self.new.add(after);
                (before.beside(after), rows(old, new, colour)?)
            }
            (Err(old), Err(new)) if old.error.code() == new.error.code() => {
                (format!("both fail with {}", old.error.code()), None)
            }
            (old, new) => {
                let end = |answer: &Result<Answer, ActionFailure>| match answer {
                    Ok(answer) => format!("{} rows", answer.row_count),
                    Err(failure) => {
                        format!("[{}] {}", failure.error.code(), failure.error.message())
                    }
                };
                let ends = format!(
                    "{} {}\n{} {}\n",
                    colour.red("-"),
                    end(old),
                    colour.green("+"),
                    end(new)
                );
                ("they end in different ways".to_owned(), Some(ends))
            }
        };
        let mark = match detail {
            None => {
                self.same += 1;
                colour.green("✓")
            }
            Some(_) => {
                self.differ += 1;
                colour.red("✗")
            }
        };
        let mut lines = format!("{mark} {request}: {told}\n");
        for line in detail.iter().flat_map(|detail| detail.lines()) {
            lines += &format!("    {line}\n");
        }
        Ok(lines)
    }

    fn summary(&self, requests: &Requests, against: &str, colour: Colour) -> String {
        let mut lines = format!(
            "{} requests, {} different ones put to {against} and to the files as they are: {} same",
            requests.seen,
            requests.replayable.len(),
            self.same
        );
        if self.differ > 0 {
            lines += &colour.red(&format!(", {} differ", self.differ));
        }
        lines.push('\n');
        if self.same + self.differ > 0 {
            lines += &format!("{}\n", self.old.beside(self.new));
        }
        for (why, count) in &requests.left_out {
            lines += &format!("not replayed: {count} {why}\n");
        }
        lines
    }
}

/// How the rows differ; none when they are the same, in whatever order.
fn rows(old: &Answer, new: &Answer, colour: Colour) -> Result<Option<String>, Failure> {
    let grid = |answer: &Answer| {
        let rows = compare::answered(&answer.data, &answer.columns);
        rows.map_err(|error| Failure::Io(error.into()))
    };
    let (before, after) = (grid(old)?, grid(new)?);
    let expect = Expect {
        truncated: old.truncated,
        skipped_rows: old.skipped_rows,
        nulled_values: old.nulled_values,
        ..Expect::default()
    };
    let counts = Counts {
        truncated: new.truncated,
        skipped_rows: new.skipped_rows,
        nulled_values: new.nulled_values,
    };
    let found = compare::difference(&expect, &before, &after, counts);
    Ok(found.map(|found| different(&found, &before, &after, colour)))
}
