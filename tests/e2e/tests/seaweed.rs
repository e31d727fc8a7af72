//! The same questions to flowlake over SeaweedFS and to DuckDB over the local file: the same rows, in bounded memory.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{
    BUCKET, Environment, Moto, Project, ProjectSettings, Python, SeaweedFs, Server,
    assert_same_rows,
};
use serde_json::{Value, json};

/// About 300 MB of CSV.
const ROWS: u64 = 2_050_000;

/// The limit that the project promises for a file of any size, with the memory setting below.
const MEMORY_LIMIT_KIB: u64 = 400 * 1000 * 1000 / 1024;

/// One question: an action, its parameters, and the SQL of the action for DuckDB.
struct Question {
    action: &'static str,
    parameters: Value,
}

fn questions() -> [Question; 4] {
    [
        Question {
            action: "queue-summary",
            parameters: json!({}),
        },
        Question {
            action: "agent-scorecard",
            parameters: json!({ "agent_id": "agent-0042" }),
        },
        Question {
            action: "slowest-calls",
            parameters: json!({}),
        },
        Question {
            action: "caller-history",
            parameters: json!({ "ani": "+12025550142" }),
        },
    ]
}

/// Everything that one of these tests needs.
struct Setting {
    python: Python,
    csv: PathBuf,
    project: Project,
    // Ended when the setting goes.
    _seaweed: SeaweedFs,
    _moto: Moto,
}

impl Setting {
    fn start(test: &str) -> Result<Self> {
        let environment = Environment::load()?;
        let folder = environment.folder(test)?;
        let python = environment.python();
        let csv = environment.shared_file(&format!("conversation_metrics-{ROWS}.csv"), |path| {
            python
                .call("generate", &json!({ "path": path, "rows": ROWS }))
                .map(drop)
        })?;
        let seaweed = SeaweedFs::start(&environment, &folder)?;
        let moto = Moto::start(&environment, &folder)?;
        python.call(
            "put",
            &json!({
                "endpoint": seaweed.url(),
                "keys": SeaweedFs::admin().to_json(),
                "bucket": BUCKET,
                "objects": { "exports/2026-01-31/conversation_metrics.csv": csv },
            }),
        )?;
        let project = Project::create(
            &environment,
            &folder.join("project"),
            &ProjectSettings {
                aws_url: moto.url().to_owned(),
                s3_url: seaweed.url().to_owned(),
                // SeaweedFS decides by itself who may read; moto has no simulation to ask.
                access_mode: "probe",
                memory: "128MiB",
                keys: SeaweedFs::reader(),
            },
        )?;
        Ok(Self {
            python,
            csv,
            project,
            _seaweed: seaweed,
            _moto: moto,
        })
    }

    /// DuckDB's answer to a question, from the local file.
    fn expected(&self, question: &Question) -> Result<Value> {
        let definition = fs::read_to_string(
            self.project
                .folder()
                .join("actions")
                .join(format!("{}.toml", question.action)),
        )?;
        let sql = definition
            .split("\"\"\"")
            .nth(1)
            .context("the action's SQL is not in triple quotes")?;
        let table = json!({ "path": self.csv, "format": "csv", "types": { "ani": "VARCHAR" } });
        self.python.call(
            "query",
            &json!({ "sql": sql, "tables": { "calls": table }, "params": question.parameters }),
        )
    }
}

#[test]
fn the_command_line_answers_like_duckdb_in_bounded_memory() -> Result<()> {
    let setting = Setting::start("seaweed-cli")?;
    let bytes = fs::metadata(&setting.csv)?.len();
    ensure!(bytes > 290_000_000, "the file has only {bytes} bytes");
    for question in questions() {
        let parameters = question
            .parameters
            .as_object()
            .context("parameters are an object")?;
        let parameters: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
            .collect();
        let mut arguments = vec!["run", question.action, "--output", "json"];
        arguments.extend(
            parameters
                .iter()
                .flat_map(|parameter| ["--param", parameter.as_str()]),
        );
        let finished = setting.project.run(&arguments)?;
        ensure!(
            finished.status.success(),
            "{}: {}\n{}",
            question.action,
            finished.status,
            finished.stderr
        );
        let answer = finished.json()?;
        assert_same_rows(&answer["data"], &setting.expected(&question)?)
            .with_context(|| format!("action {}", question.action))?;
        println!(
            "{}: {} MB of CSV in {:.2} s, peak memory {} MB",
            question.action,
            bytes / 1_000_000,
            finished.duration.as_secs_f64(),
            finished.peak_memory_kib * 1024 / 1_000_000,
        );
        ensure!(
            finished.peak_memory_kib < MEMORY_LIMIT_KIB,
            "{}: peak memory {} KiB is over {MEMORY_LIMIT_KIB} KiB",
            question.action,
            finished.peak_memory_kib
        );
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
    let setting = Setting::start("seaweed-server")?;
    let mut server: Server = setting.project.serve()?;
    for question in questions() {
        let answer = server.call(question.action, &question.parameters)?;
        ensure!(answer.status == 200, "{}: {}", question.action, answer.body);
        assert_same_rows(&answer.json()?["data"], &setting.expected(&question)?)
            .with_context(|| format!("action {}", question.action))?;
    }
    let peak = server.process().peak_memory_kib()?;
    println!(
        "server after {} actions: peak memory {} MB",
        questions().len(),
        peak * 1024 / 1_000_000
    );
    ensure!(
        peak < MEMORY_LIMIT_KIB,
        "peak memory {peak} KiB is over {MEMORY_LIMIT_KIB} KiB"
    );
    Ok(())
}
