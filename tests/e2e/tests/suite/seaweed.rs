//! The same questions to flowlake over SeaweedFS and to DuckDB over the local file: the same rows, in bounded memory.
//!
//! Reads are allowed by the embedded IAM and, independently, by SeaweedFS, which checks every signature.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use flowlake_dev_stack::sample::{self, SampleSettings};
use flowlake_e2e::{
    BUCKET, EmbeddedStack, Environment, Judge, Project, ProjectSettings, Question, SeaweedFs,
    assert_same_rows,
};
use serde_json::{Map, Value, json};

/// About 300 MB of CSV.
const ROWS: u64 = 2_050_000;

/// The memory that a run may take with `MEMORY`, whatever the size of the file: 400 MB.
const MEMORY_LIMIT_KIB: u64 = 400 * 1000 * 1000 / 1024;

/// `[transform] memory` in these tests.
const MEMORY: &str = "128MiB";

/// The questions about the large file.
fn questions() -> [Question; 4] {
    [
        Question::new("queue-summary", json!({})),
        Question::new("agent-scorecard", json!({ "agent_id": "agent-0042" })),
        Question::new("slowest-calls", json!({})),
        Question::new("caller-history", json!({ "ani": "+12025550142" })),
    ]
}

/// Everything that one of these tests needs.
struct Setting {
    project: Project,
    judge: Judge,
    // Ended when the setting goes.
    _seaweed: SeaweedFs,
    _stack: EmbeddedStack,
}

impl Setting {
    /// Puts all files below `root` into SeaweedFS and configures flowlake for it.
    fn start(environment: &Environment, folder: &Path, actions: &'static str) -> Result<Self> {
        let root = buckets(folder);
        let stack = EmbeddedStack::start(&root)?;
        let reader = stack.keys("reader")?;
        let seaweed = SeaweedFs::start(environment, folder, &reader)?;
        let mut objects = Map::new();
        add_objects(&root.join(BUCKET), "", &mut objects)?;
        environment.python().call(
            "put",
            &json!({
                "endpoint": seaweed.url(),
                "keys": SeaweedFs::admin().to_json(),
                "bucket": BUCKET,
                "objects": objects,
            }),
        )?;
        let settings = ProjectSettings {
            memory: MEMORY,
            actions,
            more: stack.genesys_section(folder)?,
            ..ProjectSettings::new(stack.aws_url(), seaweed.url(), reader)
        };
        Ok(Self {
            project: Project::create(environment, &folder.join("project"), &settings)?,
            judge: Judge::new(environment.python(), &root),
            _seaweed: seaweed,
            _stack: stack,
        })
    }

    /// With the large file and the actions of the tests.
    fn with_large_file(test: &str) -> Result<Self> {
        let environment = Environment::load()?;
        let folder = environment.folder(test)?;
        let csv = environment.shared_file(&format!("conversation_metrics-{ROWS}.csv"), |path| {
            let arguments = json!({ "path": path, "rows": ROWS });
            environment.python().call("generate", &arguments).map(drop)
        })?;
        let bytes = fs::metadata(&csv)?.len();
        ensure!(bytes > 290_000_000, "the file has only {bytes} bytes");
        let day = buckets(&folder).join(BUCKET).join("exports/2026-01-31");
        fs::create_dir_all(&day)?;
        fs::hard_link(csv, day.join("conversation_metrics.csv"))?;
        Self::start(&environment, &folder, "tests/e2e/actions")
    }
}

fn buckets(folder: &Path) -> PathBuf {
    folder.join("buckets")
}

/// Every file below a folder, by its key.
fn add_objects(folder: &Path, prefix: &str, objects: &mut Map<String, Value>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .context("a name is not text")?;
        if path.is_dir() {
            add_objects(&path, &format!("{prefix}{name}/"), objects)?;
        } else {
            objects.insert(format!("{prefix}{name}"), json!(path));
        }
    }
    Ok(())
}

/// Asks the command line and compares with the judge; prints time and memory.
#[expect(
    clippy::print_stdout,
    reason = "the figures are part of what the tests show"
)]
fn ask(setting: &Setting, question: &Question) -> Result<()> {
    let arguments = question.arguments();
    let finished = setting
        .project
        .run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    ensure!(
        finished.status.success(),
        "{}\n{}",
        finished.status,
        finished.stderr
    );
    assert_same_rows(
        &finished.json()?["data"],
        &setting.judge.expected(&setting.project, question)?,
    )?;
    println!(
        "flowlake {}: {:.2} s, peak memory {} MB",
        arguments.join(" "),
        finished.duration.as_secs_f64(),
        finished.peak_memory_kib * 1024 / 1_000_000,
    );
    let peak = finished.peak_memory_kib;
    ensure!(
        peak < MEMORY_LIMIT_KIB,
        "peak memory {peak} KiB is over {MEMORY_LIMIT_KIB} KiB"
    );
    Ok(())
}

#[test]
fn the_command_line_answers_like_duckdb_in_bounded_memory() -> Result<()> {
    let setting = Setting::with_large_file("seaweed-cli")?;
    for question in questions() {
        ask(&setting, &question).with_context(|| question.action.clone())?;
    }
    let records = setting.project.audit_records()?;
    ensure!(
        records.len() == questions().len(),
        "{} audit records for {} runs",
        records.len(),
        questions().len()
    );
    Ok(())
}

#[test]
fn the_server_answers_like_duckdb_in_bounded_memory() -> Result<()> {
    let setting = Setting::with_large_file("seaweed-server")?;
    let mut server = setting.project.serve()?;
    for question in questions() {
        let answer = server.call(&question.action, &question.parameters)?;
        ensure!(answer.status == 200, "{}: {}", question.action, answer.body);
        let expected = setting.judge.expected(&setting.project, &question)?;
        assert_same_rows(&answer.json()?["data"], &expected)
            .with_context(|| question.action.clone())?;
    }
    let peak = server.process().peak_memory_kib()?;
    println!(
        "flowlake-server after {} actions: peak memory {} MB",
        questions().len(),
        peak * 1024 / 1_000_000
    );
    ensure!(
        peak < MEMORY_LIMIT_KIB,
        "peak memory {peak} KiB is over {MEMORY_LIMIT_KIB} KiB"
    );
    Ok(())
}

#[test]
fn the_examples_answer_like_duckdb() -> Result<()> {
    let environment = Environment::load()?;
    let folder = environment.folder("seaweed-examples")?;
    let settings = SampleSettings {
        rows: 20_000,
        ..SampleSettings::default()
    };
    let files = sample::write(&buckets(&folder), &settings)?;
    let setting = Setting::start(&environment, &folder, "examples/contact-centre/actions")?;
    for question in [
        Question::new("queue-summary", json!({})),
        Question::new(
            "agent-scorecard",
            json!({ "agent_id": files.example_agent_id }),
        ),
        Question::new("caller-profile", json!({ "ani": files.example_ani })),
        Question::new("recent-conversations", json!({ "ani": files.example_ani })),
        Question::new("wrapup-codes", json!({ "queue": "Billing" })),
    ] {
        ask(&setting, &question).with_context(|| question.action.clone())?;
    }
    Ok(())
}
