//! The failure matrix: each failure, through the command line and the server, has its code, its advice,
//! exactly one audit record and no data; and nothing that is put out holds a secret or personal data.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{
    BUCKET, EmbeddedStack, Environment, Keys, Outputs, Project, ProjectSettings, Question, Server,
    free_ports,
};
use serde_json::{Value, json};

const ROWS: u64 = 10_000;

/// A value that only rows of the file hold: where it shows up, data got out.
const MARKER: &str = "Tech Tier 2";

/// The number that is asked for, and that nothing may put out.
const CALLER: &str = "+12025550142";

/// One way to fail.
struct Failure {
    name: &'static str,
    action: &'static str,
    parameters: Value,
    principal: &'static str,
    s3_is_up: bool,
    code: &'static str,
    http_status: u16,
    exit_code: i32,
}

impl Failure {
    fn of_reader(name: &'static str, action: &'static str, parameters: Value) -> Self {
        let (code, http_status, exit_code) = ("", 0, 0);
        Self {
            name,
            action,
            parameters,
            principal: "reader",
            s3_is_up: true,
            code,
            http_status,
            exit_code,
        }
    }

    fn gives(self, code: &'static str, http_status: u16, exit_code: i32) -> Self {
        Self {
            code,
            http_status,
            exit_code,
            ..self
        }
    }
}

fn failures() -> Vec<Failure> {
    let date = |day: &str| json!({ "date": day });
    vec![
        Failure {
            principal: "denied",
            ..Failure::of_reader("denied principal", "queue-summary", json!({}))
        }
        .gives("access.denied", 403, 3),
        Failure {
            principal: "stranger",
            ..Failure::of_reader("principal without a policy", "queue-summary", json!({}))
        }
        .gives("access.denied", 403, 3),
        Failure::of_reader("missing object", "queue-summary", date("2026-01-30")).gives(
            "s3.no_such_key",
            404,
            4,
        ),
        Failure::of_reader(
            "wrong parameter",
            "agent-scorecard",
            json!({ "agent_id": "nobody" }),
        )
        .gives("param.invalid", 400, 2),
        Failure::of_reader("missing parameter", "agent-scorecard", json!({})).gives(
            "param.invalid",
            400,
            2,
        ),
        Failure::of_reader(
            "unknown parameter",
            "queue-summary",
            json!({ "colour": "red" }),
        )
        .gives("param.invalid", 400, 2),
        Failure::of_reader("malformed CSV", "queue-summary", date("2026-01-29")).gives(
            "data.malformed",
            422,
            4,
        ),
        Failure::of_reader("unknown column", "queue-summary", date("2026-01-28")).gives(
            "sql.unknown_column",
            422,
            4,
        ),
        Failure {
            s3_is_up: false,
            ..Failure::of_reader("unreachable S3", "queue-summary", json!({}))
        }
        .gives("s3.unavailable", 503, 6),
        Failure::of_reader("location outside the policy", "outside-policy", json!({})).gives(
            "policy.denied",
            403,
            3,
        ),
    ]
}

/// The bucket's folder: a good day, a day with a broken line, a day with another header.
fn fill_bucket(environment: &Environment, root: &Path) -> Result<()> {
    let python = environment.python();
    let csv = environment.shared_file(&format!("conversation_metrics-{ROWS}.csv"), |path| {
        python
            .call("generate", &json!({ "path": path, "rows": ROWS }))
            .map(drop)
    })?;
    let good = fs::read_to_string(csv)?;
    let mut lines: Vec<&str> = good.lines().collect();
    let broken_line = format!("{},one,two,three", lines[5_000]);
    lines[5_000] = &broken_line;
    let malformed = lines.join("\n") + "\n";
    let renamed = good.replacen("queue_name", "team_name", 1);
    for (day, text) in [
        ("2026-01-31", &good),
        ("2026-01-29", &malformed),
        ("2026-01-28", &renamed),
    ] {
        let folder = root.join(BUCKET).join("exports").join(day);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("conversation_metrics.csv"), text)?;
    }
    Ok(())
}

struct Setting {
    environment: Environment,
    folder: std::path::PathBuf,
    stack: EmbeddedStack,
}

impl Setting {
    fn start(test: &str) -> Result<Self> {
        let environment = Environment::load()?;
        let folder = environment.folder(test)?;
        let root = folder.join("buckets");
        fill_bucket(&environment, &root)?;
        let stack = EmbeddedStack::start(&root)?;
        Ok(Self {
            environment,
            folder,
            stack,
        })
    }

    fn project(&self, name: &str, principal: &str, s3_is_up: bool) -> Result<Project> {
        let [closed] = free_ports()?;
        let s3_url = if s3_is_up {
            self.stack.s3_url()
        } else {
            format!("http://127.0.0.1:{closed}")
        };
        let settings =
            ProjectSettings::new(self.stack.aws_url(), s3_url, self.stack.keys(principal)?);
        Project::create(
            &self.environment,
            &self.folder.join(name.replace(' ', "-")),
            &settings,
        )
    }
}

#[test]
fn the_command_line_names_each_failure_and_audits_it_once() -> Result<()> {
    let setting = Setting::start("failures-cli")?;
    let mut outputs = Outputs::default();
    let mut secrets = vec![Server::KEY.to_owned()];
    for failure in failures() {
        let project = setting.project(failure.name, failure.principal, failure.s3_is_up)?;
        let arguments = Question::new(failure.action, failure.parameters.clone()).arguments();
        let finished = project.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
        check_cli(&failure, &finished).with_context(|| {
            format!(
                "{}: {}\nstdout: {}\nstderr: {}",
                failure.name, finished.status, finished.stdout, finished.stderr
            )
        })?;
        check_audit(&failure, &project.audit_records()?).with_context(|| failure.name)?;
        outputs.add(format!("stdout of {}", failure.name), finished.stdout);
        outputs.add(format!("stderr of {}", failure.name), finished.stderr);
        outputs.add_folder(&project.audit_folder())?;
        secrets.push(setting.stack.keys(failure.principal)?.secret);
    }
    outputs.assert_free_of(&secrets.iter().map(String::as_str).collect::<Vec<_>>())?;
    outputs.assert_free_of(&[MARKER])
}

#[test]
fn the_server_names_each_failure_and_audits_it_once() -> Result<()> {
    let setting = Setting::start("failures-server")?;
    let mut outputs = Outputs::default();
    let mut secrets = vec![Server::KEY.to_owned()];
    for failure in failures() {
        let project = setting.project(failure.name, failure.principal, failure.s3_is_up)?;
        let mut server = project.serve()?;
        let answer = server.call(failure.action, &failure.parameters)?;
        check_answer(&failure, answer.status, &answer.json()?)
            .with_context(|| format!("{}: {} {}", failure.name, answer.status, answer.body))?;
        check_audit(&failure, &project.audit_records()?).with_context(|| failure.name)?;
        outputs.add(format!("answer to {}", failure.name), answer.body);
        let listed = server.get("/v1/actions")?.body;
        outputs.add(format!("list of actions after {}", failure.name), listed);
        for page in [
            "/metrics",
            "/v1/profiler",
            "/v1/config",
            "/v1/status",
            "/readyz",
        ] {
            outputs.add(
                format!("{page} after {}", failure.name),
                server.operators(page)?.body,
            );
        }
        outputs.add(
            format!("log of {}", failure.name),
            server.process().output(),
        );
        outputs.add_folder(&project.audit_folder())?;
        secrets.push(setting.stack.keys(failure.principal)?.secret);
    }
    outputs.assert_free_of(&secrets.iter().map(String::as_str).collect::<Vec<_>>())?;
    outputs.assert_free_of(&[MARKER])
}

#[test]
fn personal_data_in_a_parameter_leaves_no_trace() -> Result<()> {
    let setting = Setting::start("personal-data")?;
    let project = setting.project("project", "reader", true)?;
    let mut server = project.serve()?;
    let mut outputs = Outputs::default();
    let good = server.call("caller-history", &json!({ "ani": CALLER }))?;
    ensure!(good.status == 200, "{}", good.body);
    let missing = server.call(
        "caller-history",
        &json!({ "ani": CALLER, "date": "2026-01-30" }),
    )?;
    ensure!(missing.status == 404, "{}", missing.body);
    let wrong_type = server.call("caller-history", &json!({ "ani": CALLER, "date": CALLER }))?;
    ensure!(wrong_type.status == 400, "{}", wrong_type.body);
    // A log has one writer, so the command line gets a project of its own.
    let typed = setting.project("project-cli", "reader", true)?;
    let finished = typed.run(&[
        "run",
        "caller-history",
        "--param",
        &format!("ani={CALLER}"),
        "--format",
        "json",
    ])?;
    ensure!(finished.status.success(), "{}", finished.stderr);
    for (origin, text) in [
        ("answer", good.body),
        ("answer of a missing object", missing.body),
        ("stdout", finished.stdout),
        ("stderr", finished.stderr),
        ("log", server.process().output()),
        ("metrics", server.operators("/metrics")?.body),
        ("profiler", server.operators("/v1/profiler")?.body),
    ] {
        outputs.add(origin, text);
    }
    for (project, attempts) in [(&project, 3), (&typed, 1)] {
        outputs.add_folder(&project.audit_folder())?;
        let records = project.audit_records()?.len();
        ensure!(
            records == attempts,
            "{records} audit records for {attempts} attempts"
        );
    }
    let keys: Keys = setting.stack.keys("reader")?;
    outputs.assert_free_of(&[CALLER, &CALLER[1..], &keys.secret, Server::KEY])
}

fn check_cli(failure: &Failure, finished: &flowlake_e2e::Finished) -> Result<()> {
    ensure!(
        finished.status.code() == Some(failure.exit_code),
        "exit code {} was expected",
        failure.exit_code
    );
    ensure!(
        finished.stderr.contains(failure.code),
        "code {} is not on stderr",
        failure.code
    );
    ensure!(!finished.stdout.contains("\"data\""), "stdout has data");
    ensure!(has_sentence(&finished.stderr), "stderr has no advice");
    Ok(())
}

fn check_answer(failure: &Failure, status: u16, body: &Value) -> Result<()> {
    ensure!(
        status == failure.http_status,
        "status {} was expected",
        failure.http_status
    );
    let error = &body["error"];
    ensure!(
        error["code"] == failure.code,
        "code {} was expected",
        failure.code
    );
    ensure!(
        error["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "there is no message"
    );
    ensure!(
        error["advice"].as_str().is_some_and(has_sentence),
        "the advice is no sentence"
    );
    ensure!(
        error["retryable"].is_boolean(),
        "it does not say whether to try again"
    );
    ensure!(body.get("data").is_none(), "there is data");
    ensure!(
        body["audit_id"].as_str().is_some_and(|id| !id.is_empty()),
        "there is no audit id"
    );
    Ok(())
}

fn check_audit(failure: &Failure, records: &[Value]) -> Result<()> {
    ensure!(
        records.len() == 1,
        "{} audit records instead of one: {records:?}",
        records.len()
    );
    let record = records[0].get("record").unwrap_or(&records[0]);
    ensure!(
        record["code"] == failure.code,
        "the audit has another code: {record}"
    );
    ensure!(
        record["status"] == "failed",
        "the audit has another status: {record}"
    );
    ensure!(
        record["action"] == failure.action,
        "the audit has another action: {record}"
    );
    Ok(())
}

/// Whether some line starts with a capital somewhere and ends with a full stop.
fn has_sentence(text: &str) -> bool {
    text.lines()
        .any(|line| line.trim_end().ends_with('.') && line.split_whitespace().count() > 3)
}
