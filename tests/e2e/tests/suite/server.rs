//! The server as its operator sees it: keys, health, metrics, a clean end.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{
    BUCKET, EmbeddedStack, Environment, Project, ProjectSettings, Server, request, request_with,
};
use serde_json::{Value, json};

const ROWS: u64 = 500_000;

struct Setting {
    project: Project,
    // Ended when the setting goes.
    _stack: EmbeddedStack,
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
        let root = folder.join("buckets");
        let day = root.join(BUCKET).join("exports").join("2026-01-31");
        std::fs::create_dir_all(&day)?;
        std::fs::copy(csv, day.join("conversation_metrics.csv"))?;
        let stack = EmbeddedStack::start(&root)?;
        let settings = ProjectSettings::new(stack.aws_url(), stack.s3_url(), stack.keys("reader")?);
        Ok(Self {
            project: Project::create(&environment, &folder.join("project"), &settings)?,
            _stack: stack,
        })
    }
}

#[test]
fn rows_come_in_the_format_that_is_accepted() -> Result<()> {
    let setting = Setting::start("server-formats")?;
    let server = setting.project.serve()?;
    let url = format!("{}/v1/actions/queue-summary", server.url());
    let ask = |url: &str, accept: &str| {
        request_with(
            url,
            Some(Server::KEY),
            &[("Accept", accept)],
            Some(&json!({})),
        )
    };
    let flow = ask(&url, "*/*")?;
    let rows = flow.json()?["data"].clone();
    ensure!(
        flow.json()?["row_count"].as_u64() > Some(0),
        "{}",
        flow.body
    );
    let alone = ask(&format!("{url}?envelope=rows"), "application/json")?;
    ensure!(alone.json()? == rows, "{}", alone.body);
    let lines = ask(&url, "application/x-ndjson")?;
    let parsed: Vec<Value> = lines
        .body
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(json!(parsed) == rows, "{}", lines.body);
    let csv = ask(&url, "text/csv, application/json;q=0.5")?;
    ensure!(
        csv.header("content-type") == Some("text/csv; charset=utf-8; header=present"),
        "{:?}",
        csv.headers
    );
    ensure!(
        csv.header("x-flowlake-row-count") == Some(&parsed.len().to_string()),
        "{:?}",
        csv.headers
    );
    ensure!(
        csv.header("x-flowlake-truncated") == Some("false")
            && csv.header("x-flowlake-audit-id").is_some(),
        "{:?}",
        csv.headers
    );
    ensure!(csv.body.lines().count() == parsed.len() + 1, "{}", csv.body);
    let parquet = ask(&url, "application/vnd.apache.parquet")?;
    ensure!(
        parquet.header("content-type") == Some("application/vnd.apache.parquet")
            && parquet.body.starts_with("PAR1"),
        "{:?}",
        parquet.headers
    );
    let refused = request_with(
        &format!("{url}-unknown"),
        Some(Server::KEY),
        &[("Accept", "text/csv")],
        Some(&json!({})),
    )?;
    ensure!(
        refused.status == 404 && refused.json()?["error"]["code"] == "action.unknown",
        "{}",
        refused.body
    );
    Ok(())
}

#[test]
fn only_who_has_a_key_is_answered() -> Result<()> {
    let setting = Setting::start("server-keys")?;
    let server = setting.project.serve()?;
    let url = format!("{}/v1/actions/queue-summary", server.url());
    for key in [None, Some("another-key"), Some("")] {
        let answer = request(&url, key, Some(&json!({})))?;
        ensure!(
            answer.status == 401,
            "{key:?}: {} {}",
            answer.status,
            answer.body
        );
        ensure!(
            answer.json()?["error"]["code"] == "request.unauthorized",
            "{}",
            answer.body
        );
    }
    ensure!(request(&url, Some(Server::KEY), Some(&json!({})))?.status == 200);
    ensure!(server.get("/readyz")?.status == 200);
    let actions = server.get("/v1/actions")?;
    ensure!(actions.body.contains("queue-summary"), "{}", actions.body);
    let unknown = server.call("no-such-action", &json!({}))?;
    ensure!(
        unknown.status == 404 && unknown.json()?["error"]["code"] == "action.unknown",
        "{}",
        unknown.body
    );
    Ok(())
}

#[test]
fn what_was_done_is_counted() -> Result<()> {
    let setting = Setting::start("server-metrics")?;
    let server = setting.project.serve()?;
    for _ in 0..3 {
        ensure!(
            server
                .call("agent-scorecard", &json!({ "agent_id": "agent-0007" }))?
                .status
                == 200
        );
    }
    ensure!(
        server
            .call("agent-scorecard", &json!({ "agent_id": "7" }))?
            .status
            == 400
    );
    let profiler = server.operators("/v1/profiler")?.json()?;
    ensure!(profiler["total_requests"] == 4, "{profiler}");
    let metrics = server.operators("/metrics")?;
    ensure!(metrics.body.contains("agent-scorecard"), "{}", metrics.body);
    ensure!(
        setting.project.audit_records()?.len() == 4,
        "{:?}",
        setting.project.audit_records()?
    );
    Ok(())
}

#[test]
fn sigterm_lets_a_running_request_finish() -> Result<()> {
    let setting = Setting::start("server-sigterm")?;
    let mut server = setting.project.serve()?;
    let url = format!("{}/v1/actions/queue-summary", server.url());
    let running = thread::spawn(move || request(&url, Some(Server::KEY), Some(&json!({}))));
    thread::sleep(Duration::from_millis(150));
    let status = server.process().terminate(Duration::from_secs(30))?;
    ensure!(
        status.code() == Some(0),
        "{status}: {}",
        server.process().output()
    );
    let answer = running.join().ok().context("the request panicked")??;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    ensure!(
        setting.project.audit_records()?.len() == 1,
        "{:?}",
        setting.project.audit_records()?
    );
    Ok(())
}
