//! The SQL cases of `transform` and the examples of the docs as action files: the server and the command line answer them as the cases say.

use std::{fs, path::Path, sync::Mutex, thread};

use anyhow::{Context, Result, anyhow, ensure};
use flowlake_cases::{Answered, Asks, Case, Documented, Suite};
use flowlake_e2e::{BUCKET, EmbeddedStack, Environment, Finished, Project, ProjectSettings};
use serde_json::Value;

/// Command lines that run at a time.
const AT_A_TIME: usize = 2;

/// The cases, whose files are in a bucket.
struct Setting {
    environment: Environment,
    folder: std::path::PathBuf,
    stack: EmbeddedStack,
    cases: Vec<Case>,
}

impl Setting {
    fn start(test: &str) -> Result<Self> {
        let environment = Environment::load()?;
        let folder = environment.folder(test)?;
        let cases =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/transform/tests/cases");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let suite = runtime
            .block_on(Suite::load(&cases, BUCKET, "exports/"))
            .map_err(|error| anyhow!(error))?;
        let root = folder.join("buckets");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/functions.md");
        let documented = Documented::of(&fs::read_to_string(page)?, BUCKET, "exports/");
        for (key, content) in suite.files.iter().chain(&documented.files) {
            let path = root.join(BUCKET).join(key);
            fs::create_dir_all(path.parent().context("a key has no folder")?)?;
            fs::write(path, content)?;
        }
        Ok(Self {
            stack: EmbeddedStack::start(&root)?,
            environment,
            folder,
            // What is relative to today is another answer today.
            cases: suite
                .cases
                .into_iter()
                .filter(|case| !case.needs_clock)
                .chain(documented.cases)
                .collect(),
        })
    }

    /// A project with these cases as its actions.
    fn project<'a>(
        &self,
        name: &str,
        cases: impl IntoIterator<Item = &'a Case>,
    ) -> Result<Project> {
        let (stack, keys) = (&self.stack, self.stack.keys("reader")?);
        let settings = ProjectSettings::new(stack.aws_url(), stack.s3_url(), keys);
        let project = Project::create(&self.environment, &self.folder.join(name), &settings)?;
        let actions = project.folder().join("actions");
        for case in cases {
            fs::write(actions.join(format!("{}.toml", case.name)), &case.toml)?;
        }
        Ok(project)
    }

    /// Cases that are answered with rows.
    fn answered(&self) -> impl Iterator<Item = &Case> {
        let cases = self.cases.iter();
        cases.filter(|case| matches!(case.asks, Asks::Rows { .. } | Asks::Data(_)))
    }

    /// Runs the command line for many cases, some at a time. What is wrong with their answers.
    fn by_command_line(
        &self,
        cases: &[&Case],
        project: impl Fn(usize, &Case) -> Result<Project> + Sync,
    ) -> Result<Vec<String>> {
        let next = Mutex::new(cases.iter());
        let wrong = Mutex::new(Vec::new());
        let take = || next.lock().ok()?.next();
        let (take, project, wrong_cases) = (&take, &project, &wrong);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_A_TIME)
                .map(|worker| {
                    scope.spawn(move || -> Result<()> {
                        while let Some(case) = take() {
                            let project = project(worker, case)?;
                            if let Some(difference) = run(&project, case)?
                                && let Ok(mut wrong) = wrong_cases.lock()
                            {
                                wrong.push(format!("{}: {difference}", case.name));
                            }
                        }
                        Ok(())
                    })
                })
                .collect();
            for worker in workers {
                worker
                    .join()
                    .map_err(|_panic| anyhow!("a worker panicked"))??;
            }
            Ok::<_, anyhow::Error>(())
        })?;
        wrong.into_inner().context("a worker panicked")
    }
}

/// What is wrong with what the command line says.
fn run(project: &Project, case: &Case) -> Result<Option<String>> {
    let mut arguments: Vec<String> = ["run", &case.name, "--format", "json"]
        .map(str::to_owned)
        .into();
    for (name, value) in &case.values {
        if let Some(text) = typed(value) {
            arguments.extend(["--param".to_owned(), format!("{name}={text}")]);
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let finished = project.run(&arguments)?;
    if finished.status.success() {
        return Ok(case.difference(Ok(&Answered::parse(&finished.stdout)?)));
    }
    let (code, message) = refusal(&finished)?;
    Ok(case.difference(Err((code, message))))
}

/// A value as a person types it.
fn typed(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => Some(items.iter().filter_map(typed).collect::<Vec<_>>().join(",")),
        other => Some(other.to_string()),
    }
}

/// Code and message of the line `error[CODE]: MESSAGE`; what to do about it is in the lines after.
fn refusal(finished: &Finished) -> Result<(&str, &str)> {
    let mut lines = finished.stderr.lines();
    lines
        .find_map(|line| line.strip_prefix("error[")?.split_once("]: "))
        .with_context(|| format!("{}: {}", finished.status, finished.stderr))
}

#[test]
fn the_server_answers_action_files_as_the_cases_say() -> Result<()> {
    let setting = Setting::start("actions-server")?;
    let project = setting.project("server", setting.answered())?;
    let server = project.serve()?;
    let (mut wrong, mut count) = (Vec::new(), 0);
    for case in setting.answered() {
        let answer = server.call(&case.name, &Value::Object(case.values.clone()))?;
        count += 1;
        let difference = if answer.status == 200 {
            case.difference(Ok(&Answered::parse(&answer.body)?))
        } else {
            Some(answer.body)
        };
        wrong.extend(difference.map(|difference| format!("{}: {difference}", case.name)));
    }
    ensure!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    ensure!(count >= 200, "only {count} cases were asked");
    Ok(())
}

#[test]
fn the_command_line_answers_action_files_as_the_cases_say() -> Result<()> {
    let setting = Setting::start("actions-cli")?;
    // One project for each that runs at a time: two processes do not write one audit log.
    for worker in 0..AT_A_TIME {
        setting.project(&format!("cli-{worker}"), setting.answered())?;
    }
    let answered: Vec<&Case> = setting.answered().collect();
    let mut wrong = setting.by_command_line(&answered, |worker, _| {
        setting.project(&format!("cli-{worker}"), [])
    })?;
    // A file that is refused when it is loaded stops all of its project.
    let refused = setting.cases.iter();
    let refused: Vec<&Case> = refused
        .filter(|case| matches!(case.asks, Asks::Error(_) | Asks::Message(_)))
        .collect();
    wrong.extend(setting.by_command_line(&refused, |_, case| setting.project(&case.name, [case]))?);
    let count = answered.len() + refused.len();
    ensure!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    ensure!(
        refused.len() >= 40,
        "only {} cases are refused",
        refused.len()
    );
    Ok(())
}
