//! `flowlake test`: actions over the tables of their test files, in place of objects on S3.

mod aligned;
mod arguments;
mod compare;
mod file;
mod given;
mod junit;
mod outcome;
mod replay;
mod report;
mod update;

use std::{
    collections::BTreeMap,
    fs,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use flowlake_data_action::{
    ActionError, Clock, ErrorCode, Pipeline, Project, RowFormat, SystemClock, TestBench,
    TestObjects, nearest,
};
use tokio::task::JoinSet;

pub(crate) use self::arguments::Test;
use self::{
    aligned::Grid,
    compare::{Counts, Difference},
    file::{Case, Expect, TestFile, invalid},
    given::Giver,
    outcome::{DIFFERS, Outcome, Verdict},
    update::Wanted,
};
use crate::{colour::Colour, failure::Failure, output, terminal::Terminal};

/// One case of a file.
#[derive(Debug)]
struct Subject {
    action: String,
    path: PathBuf,
    /// Its place in the file.
    index: usize,
    /// Why there is no case: the file cannot be read.
    case: Result<Case, ActionError>,
}

pub(crate) async fn test(config: &Path, arguments: &Test) -> Result<(), Failure> {
    if let Some(count) = arguments.replay {
        return Box::pin(replay::replay(config, arguments, count)).await;
    }
    let started = SystemClock.instant();
    let project = Project::load(config)?;
    let files = project.test_files()?;
    let bench = Arc::new(Pipeline::builder(project).bench()?);
    let mut outcomes = run(&bench, subjects(&bench, &files, &arguments.actions)?).await?;
    if arguments.update {
        update(&mut outcomes)?;
    }
    let colour = Terminal::get().stdout;
    let lines: String = outcomes
        .iter()
        .map(|outcome| report::lines(outcome, colour))
        .collect();
    let elapsed = SystemClock.instant().saturating_duration_since(started);
    output::print(&(lines + &summary(&outcomes, elapsed, colour)))?;
    if let Some(path) = &arguments.junit {
        let unwritable = |error: std::io::Error| {
            let what = format!("cannot write {}: {error}", path.display());
            Failure::Io(std::io::Error::new(error.kind(), what))
        };
        let report = junit::report(&outcomes).map_err(unwritable)?;
        fs::write(path, report).map_err(unwritable)?;
    }
    match outcomes.iter().all(|outcome| outcome.verdict.is_good()) {
        true => Ok(()),
        false => Err(Failure::Findings(DIFFERS)),
    }
}

/// The test files that name no action, in words.
pub(crate) fn strays<'a>(
    files: impl Iterator<Item = &'a String>,
    actions: &[String],
) -> Vec<String> {
    let strays = files.filter(|name| !actions.contains(name));
    let told = strays.map(|name| {
        let meant = nearest(name, actions);
        let meant = meant.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
        format!("actions/{name}.test.toml tests no action: there is no `{name}`{meant}")
    });
    told.collect()
}

/// The cases of the named actions, or of all.
fn subjects(
    bench: &TestBench,
    files: &BTreeMap<String, PathBuf>,
    named: &[String],
) -> Result<Vec<Subject>, ActionError> {
    for name in named {
        if !files.contains_key(name) {
            bench.action(name)?;
            return Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("the action `{name}` has no tests"),
                format!("Write actions/{name}.test.toml; docs/testing.md shows one."),
            ));
        }
    }
    if files.is_empty() {
        return Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            "there are no tests",
            "Write actions/NAME.test.toml beside the action's file; docs/testing.md shows one.",
        ));
    }
    let mut subjects = Vec::new();
    let wanted = files
        .iter()
        .filter(|(name, _)| named.is_empty() || named.contains(name));
    for (action, path) in wanted {
        let subject = |index, case| Subject {
            action: action.clone(),
            path: path.clone(),
            index,
            case,
        };
        match read(path) {
            Ok(cases) => {
                let cases = cases.into_iter().enumerate();
                subjects.extend(cases.map(|(index, case)| subject(index, Ok(case))));
            }
            Err(error) => subjects.push(subject(0, Err(error))),
        }
    }
    Ok(subjects)
}

fn read(path: &Path) -> Result<Vec<Case>, ActionError> {
    let text = fs::read_to_string(path)
        .map_err(|error| invalid(path, 1, &format!("it cannot be read: {error}")))?;
    TestFile::cases(path, &text)
}

/// Runs all cases, as many at a time as there are processors.
async fn run(bench: &Arc<TestBench>, subjects: Vec<Subject>) -> Result<Vec<Outcome>, Failure> {
    let subjects = Arc::new(subjects);
    let next = Arc::new(AtomicUsize::new(0));
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut running = JoinSet::new();
    for _ in 0..workers {
        let (bench, subjects, next) = (Arc::clone(bench), Arc::clone(&subjects), Arc::clone(&next));
        running.spawn(async move {
            let mut outcomes = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(subject) = subjects.get(number) else {
                    return outcomes;
                };
                outcomes.push((number, Box::pin(outcome(&bench, subject)).await));
            }
        });
    }
    let mut outcomes = Vec::with_capacity(subjects.len());
    while let Some(ended) = running.join_next().await {
        outcomes.extend(ended.map_err(|error| Failure::Stack(error.into()))?);
    }
    outcomes.sort_by_key(|(number, _)| *number);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

async fn outcome(bench: &TestBench, subject: &Subject) -> Outcome {
    let started = SystemClock.instant();
    let mut outcome = Outcome {
        action: subject.action.clone(),
        path: subject.path.clone(),
        index: subject.index,
        case: "(the file)".to_owned(),
        line: 1,
        took: Duration::ZERO,
        expect: None,
        stays: false,
        verdict: Verdict::Passed,
        answer: None,
        expected: Grid::default(),
    };
    match &subject.case {
        Err(error) => outcome.verdict = Verdict::Fault(error.clone()),
        Ok(case) => {
            outcome.case.clone_from(&case.name);
            outcome.line = case.line;
            outcome.expect.clone_from(&case.expect);
            if let Err(error) = judge(bench, subject, case, &mut outcome).await {
                outcome.verdict = Verdict::Fault(error);
            }
        }
    }
    outcome.took = SystemClock.instant().saturating_duration_since(started);
    outcome
}

/// Runs a case and holds what comes against what is expected.
///
/// # Errors
/// What keeps the case from being run.
async fn judge(
    bench: &TestBench,
    subject: &Subject,
    case: &Case,
    outcome: &mut Outcome,
) -> Result<(), ActionError> {
    let fault = |what: String| invalid(&subject.path, case.line, &what);
    let action = bench.action(&subject.action)?;
    let folder = subject.path.parent().unwrap_or(Path::new("."));
    let now = case.now.unwrap_or_else(|| SystemClock.now());
    let giver = Giver {
        bench,
        action,
        folder,
    };
    // Parameters that are refused name no location: there is nothing to give.
    let objects = match TestBench::locations(action, &case.params, now) {
        Ok(locations) => giver.objects(case, &locations).await.map_err(fault)?,
        Err(_) => TestObjects::default(),
    };
    let run = bench.run(action, &case.params, now, &objects, RowFormat::Json);
    let answer = match run.await {
        Ok(run) => {
            let rows = compare::answered(&run.data, &run.columns);
            let counts = Counts {
                truncated: run.truncated,
                skipped_rows: run.skipped_rows,
                nulled_values: run.nulled_values,
            };
            Ok((counts, rows.map_err(|error| fault(error.to_string()))?))
        }
        Err(error) => Err(error),
    };
    if let Some(expect) = &case.expect {
        outcome.expected = expected(expect, folder).map_err(fault)?;
    }
    outcome.verdict = verdict(case.expect.as_ref(), &outcome.expected, &answer);
    outcome.answer = Some(answer);
    Ok(())
}

fn verdict(
    expect: Option<&Expect>,
    expected: &Grid,
    answer: &Result<(Counts, Grid), ActionError>,
) -> Verdict {
    let code = expect.and_then(|expect| expect.error.as_deref());
    match answer {
        Err(error) => {
            let message = expect.and_then(|expect| expect.message.as_deref());
            let is_expected = code == Some(error.code().as_str())
                && message.is_none_or(|part| error.message().contains(part));
            match is_expected {
                true => Verdict::Passed,
                false => Verdict::WrongError {
                    expected: code.map(|code| match message {
                        Some(part) => format!("{code} with {part:?}"),
                        None => code.to_owned(),
                    }),
                    found: Some(error.clone()),
                },
            }
        }
        Ok(_) if code.is_some() => Verdict::WrongError {
            expected: code.map(str::to_owned),
            found: None,
        },
        Ok((counts, answered)) => match expect {
            None => Verdict::Unexpected(answered.clone()),
            Some(expect) => match compare::difference(expect, expected, answered, *counts) {
                None => Verdict::Passed,
                Some(difference) => Verdict::Different {
                    difference,
                    expected: expected.clone(),
                    answered: answered.clone(),
                },
            },
        },
    }
}

/// The rows that are expected.
fn expected(expect: &Expect, folder: &Path) -> Result<Grid, String> {
    let told = |what: String| format!("`expect`: {what}");
    if let Some(rows) = &expect.rows {
        return aligned::parse(rows).map_err(told);
    }
    if let Some(lines) = &expect.ndjson {
        return compare::of_ndjson(lines).map_err(told);
    }
    let Some(path) = &expect.file else {
        return Ok(Grid::default());
    };
    let text = match fs::read_to_string(folder.join(path)) {
        Ok(text) => text,
        // `--update` makes it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    };
    let end = path.extension().unwrap_or_default();
    match end == "ndjson" || end == "jsonl" {
        true => compare::of_ndjson(&text),
        false => aligned::parse(&text),
    }
    .map_err(|what| format!("{}: {what}", path.display()))
}

/// Writes answers into the expectations that differ.
fn update(outcomes: &mut [Outcome]) -> Result<(), Failure> {
    for outcome in outcomes {
        let (expect, expected) = (outcome.expect.as_ref(), &outcome.expected);
        let wanted = match (&outcome.verdict, &outcome.answer) {
            (Verdict::Passed | Verdict::Updated | Verdict::Fault(_), _) | (_, None) => continue,
            (_, Some(answer)) if update::is_of_other_kind(expect, answer) => {
                outcome.stays = true;
                continue;
            }
            (_, Some(Err(error))) => Wanted::Error(error),
            (verdict, Some(Ok((counts, answered)))) => {
                let difference = match verdict {
                    Verdict::Different { difference, .. } => Some(difference),
                    _ => None,
                };
                let has_rows = difference.is_some_and(Difference::has_only_remarks);
                let rows = || update::kept(expect, difference, expected, answered);
                Wanted::Rows {
                    rows: (!has_rows).then(rows),
                    counts: *counts,
                }
            }
        };
        let text = fs::read_to_string(&outcome.path)?;
        let updated = update::updated(&text, outcome.index, expect, &wanted);
        let (text, beside) = updated.map_err(|what| invalid(&outcome.path, outcome.line, &what))?;
        let file = expect.and_then(|expect| expect.file.as_ref());
        if let (Some(rows), Some(file)) = (beside, file) {
            let folder = outcome.path.parent().unwrap_or(Path::new("."));
            fs::write(folder.join(file), rows)?;
        }
        fs::write(&outcome.path, text)?;
        outcome.verdict = Verdict::Updated;
    }
    Ok(())
}

/// One line over all.
fn summary(outcomes: &[Outcome], elapsed: Duration, colour: Colour) -> String {
    let count = |is: fn(&Verdict) -> bool| {
        let found = outcomes.iter().filter(|outcome| is(&outcome.verdict));
        found.count()
    };
    let failed = count(|verdict| !verdict.is_good());
    let updated = count(|verdict| matches!(verdict, Verdict::Updated));
    let mut parts = vec![format!("{} passed", outcomes.len() - failed - updated)];
    if updated > 0 {
        parts.push(format!("{updated} updated"));
    }
    if failed > 0 {
        parts.push(colour.red(&format!("{failed} failed")));
    }
    let cases = match outcomes.len() {
        1 => "1 case".to_owned(),
        count => format!("{count} cases"),
    };
    format!(
        "{cases}: {} in {:.2} s\n",
        parts.join(", "),
        elapsed.as_secs_f64()
    )
}
