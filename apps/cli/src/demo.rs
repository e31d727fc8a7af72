//! `flowlake demo`: the whole product on embedded services, with sample data that is the same every time.

mod project;

use std::path::Path;

use flowlake_data_action::{ActionRequest, Answer, Clock, Pipeline, SystemClock};
use flowlake_dev_stack::{
    DevStack, GenesysSettings, IamDocument, Identity,
    sample::{self, SampleFiles, SampleSettings},
};
use flowlake_server::{Callers, Server};
use serde_json::{Value, json};

pub(crate) use self::project::EXAMPLE_CONFIG;
use self::project::{DemoEnvironment, SERVER_KEY, demo_project};
use crate::{arguments::Demo, failure::Failure, output, run, text};

/// The principal that the demo reads as.
const READER: &str = "arn:aws:iam::123456789012:user/flowlake";

pub(crate) async fn demo(arguments: &Demo) -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let root = arguments
        .folder
        .clone()
        .unwrap_or_else(|| scratch.path().join("lake"));
    std::fs::create_dir_all(&root)?;
    let files = lay_sample_data(&root, arguments.rows).await?;
    let stack = DevStack::builder(&root)
        .with_iam(identities(&files.bucket))
        .with_genesys(GenesysSettings::default())
        .start()
        .await
        .map_err(|error| Failure::Stack(error.into()))?;
    output::print(&format!(
        "Embedded, on loopback: S3 {}, STS + IAM + Cost Explorer {}, Genesys Cloud login {}\n",
        stack.s3_url(),
        stack.aws_url(),
        stack.genesys_login_url()
    ))?;
    let project = demo_project(scratch.path(), &stack, &stack.access_key(READER))?;
    let settings = project.config.server.clone();
    let audit_folder = project.config.audit.log.directory.clone();
    let pipeline = Pipeline::builder(project).build(&DemoEnvironment).await?;
    run_examples(&pipeline, &files).await?;
    show_refusals(&pipeline).await?;
    verify_audit(&audit_folder)?;
    if arguments.serve {
        serve(pipeline, settings, &files).await?;
    } else {
        output::print(
            "\nNext: `flowlake demo --serve` keeps this running behind the HTTP server; `flowlake init` starts your own.\n",
        )?;
    }
    stack.shutdown().await;
    Ok(())
}

async fn lay_sample_data(root: &Path, rows: u64) -> Result<SampleFiles, Failure> {
    let clock = SystemClock;
    let started = clock.instant();
    let settings = SampleSettings {
        rows,
        ..SampleSettings::default()
    };
    let root = root.to_owned();
    let files = tokio::task::spawn_blocking(move || sample::write(&root, &settings))
        .await
        .map_err(|error| Failure::Stack(error.into()))?
        .map_err(|error| Failure::Stack(error.into()))?;
    let mut lines = format!(
        "Sample data, made in {:.1} s:\n",
        clock.instant().duration_since(started).as_secs_f64()
    );
    for file in [
        &files.csv,
        &files.ndjson,
        &files.json,
        &files.parquet,
        &files.customers,
    ] {
        lines += &format!(
            "  s3://{}/{}  {} rows, {}\n",
            files.bucket,
            file.key,
            file.rows,
            text::bytes(file.bytes)
        );
    }
    output::print(&lines)?;
    Ok(files)
}

/// One principal that may read the exports, with an explicit deny on payroll files, and may ask IAM about itself.
fn identities(bucket: &str) -> IamDocument {
    let read = json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Sid": "ReadExports", "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"],
              "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/exports/*")] },
            { "Sid": "NoPayroll", "Effect": "Deny", "Action": "s3:*", "Resource": format!("arn:aws:s3:::{bucket}/exports/payroll/*") },
            { "Sid": "AskIam", "Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy", "iam:GetRole", "s3:GetBucketPolicy"], "Resource": "*" },
        ],
    });
    IamDocument::default().with_identity(Identity::new(READER).with_policy("read-exports", read))
}

async fn run_examples(pipeline: &Pipeline, files: &SampleFiles) -> Result<(), Failure> {
    let agent = ("agent_id", files.example_agent_id.as_str());
    let ani = ("ani", files.example_ani.as_str());
    let examples: [(&str, &[(&str, &str)]); 6] = [
        ("queue-summary", &[]),
        ("agent-scorecard", &[agent]),
        ("caller-profile", &[ani]),
        ("recent-conversations", &[ani]),
        ("wrapup-codes", &[("queue", "Billing")]),
        ("queue-summary", &[]),
    ];
    for (action, params) in examples {
        let answer = run_one(pipeline, action, params).await?;
        output::print(&format!(
            "{}\n{}\n",
            output::table(&answer, crate::grid::terminal_width())?,
            text::report(&answer)
        ))?;
    }
    Ok(())
}

async fn run_one(
    pipeline: &Pipeline,
    action: &str,
    params: &[(&str, &str)],
) -> Result<Answer, Failure> {
    let description = &pipeline.action(action)?.definition().description;
    let typed: String = params
        .iter()
        .map(|(name, value)| format!(" --param {name}={value}"))
        .collect();
    output::print(&format!(
        "\n━━ flowlake run {action}{typed}\n   {description}\n"
    ))?;
    Ok(pipeline.run(request(action, params)).await?)
}

fn request(action: &str, params: &[(&str, &str)]) -> ActionRequest {
    let params = params.iter();
    let params = params.map(|&(name, value)| (name.to_owned(), value.into()));
    run::request(action, params.collect())
}

/// What a wrong parameter, a missing day, and a file that IAM denies look like.
async fn show_refusals(pipeline: &Pipeline) -> Result<(), Failure> {
    output::print("\n━━ and when it may not, or cannot\n")?;
    let refusals: [(&str, &[(&str, &str)]); 3] = [
        ("agent-scorecard", &[("agent_id", "' OR 1=1 --")]),
        ("queue-summary", &[("date", "2020-02-29")]),
        ("payroll", &[]),
    ];
    for (action, params) in refusals {
        match pipeline.run(request(action, params)).await {
            Ok(answer) => {
                return Err(Failure::Stack(
                    format!(
                        "`{action}` should have been refused and gave {} rows",
                        answer.row_count
                    )
                    .into(),
                ));
            }
            Err(failure) => output::print(&format!(
                "   {action}: [{}] {}\n     {}\n     HTTP {}, audit {}\n",
                failure.error.code(),
                failure.error.message(),
                failure.error.advice(),
                failure.error.code().http_status(),
                failure.audit_id.as_deref().unwrap_or("none")
            ))?,
        }
    }
    Ok(())
}

fn verify_audit(folder: &Path) -> Result<(), Failure> {
    let report =
        flowlake_cost_audit::verify(folder).map_err(|error| Failure::Stack(error.into()))?;
    if let Some(problem) = report.problem {
        let what = format!(
            "the audit log breaks at line {} of {}: {}",
            problem.line, problem.segment, problem.message
        );
        return Err(Failure::Stack(what.into()));
    }
    output::print(&format!(
        "\nAudit log: {} records, one per attempt, the hash chain verifies.\n",
        report.records
    ))?;
    Ok(())
}

/// Keeps the server up until Ctrl-C or SIGTERM.
async fn serve(
    pipeline: Pipeline,
    mut settings: flowlake_data_action::ServerSettings,
    files: &SampleFiles,
) -> Result<(), Failure> {
    "127.0.0.1:0".clone_into(&mut settings.listen);
    settings.admin = Some("127.0.0.1:0".to_owned());
    let callers = Callers::load(&settings, &DemoEnvironment)?;
    let server = Server::try_new(pipeline, callers, settings)?
        .start()
        .await?;
    let body: Value = json!({ "agent_id": files.example_agent_id });
    output::print(&format!(
        "\nThe server listens. In another terminal:\n\n  curl -s http://{0}/v1/actions/agent-scorecard -H 'Authorization: Bearer {SERVER_KEY}' -H 'Content-Type: application/json' -d '{body}'\n\n  (also: GET http://{0}/v1/actions)\n\nThe dashboard: {1} — Ctrl-C ends it.\n",
        server.address(),
        server
            .admin_address()
            .map_or_else(|| "none".to_owned(), |admin| format!("http://{admin}/"))
    ))?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    server
        .stop()
        .await
        .map_err(|error| Failure::Stack(error.into()))
}
