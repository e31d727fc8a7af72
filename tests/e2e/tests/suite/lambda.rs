//! The same data actions through both doors: the server's address, and the function in a local runtime.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use flowlake_e2e::{BUCKET, Project, SHIPPED, Setting};
use serde_json::Value;

const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:flowlake:live";

#[test]
fn every_example_gives_a_flow_the_same_through_the_function() -> Result<()> {
    let setting = Setting::start("lambda", 5_000)?;
    let more = format!(
        "[audit.ship]\nuri = \"s3://{BUCKET}/{SHIPPED}\"\nbefore_answer = true\n\n[publish]\nurl = \"http://127.0.0.1:9\"\n\n[publish.lambda]\nfunction = \"{ARN}\"\n\n"
    );
    let project = setting.examples("reader", &more)?;
    let server = project.serve()?;
    let runtime = setting.stack.function(ARN)?;
    let mut function = project.function(&runtime)?;
    let local = format!("http://{}", runtime.address());
    let agent = format!("agent_id={}", setting.files.example_agent_id);
    let ani = format!("ani={}", setting.files.example_ani);
    for (action, param) in [
        ("queue-summary", None),
        ("agent-scorecard", Some(agent.as_str())),
        ("caller-profile", Some(ani.as_str())),
        ("recent-conversations", Some(ani.as_str())),
        ("wrapup-codes", Some("queue=Billing")),
    ] {
        let by_server = seen(&project, action, param, &["--server", server.url()])?;
        let by_function = seen(
            &project,
            action,
            param,
            &["--via", "lambda", "--server", &local],
        )?;
        ensure!(
            by_function == by_server,
            "{action}: {by_function:#} {by_server:#}"
        );
        ensure!(by_server["row_count"] != 0, "{action}: {by_server:#}");
    }
    // Its records are in the bucket: the function's log beside the server's.
    let archive = setting.folder.join("buckets").join(BUCKET).join(SHIPPED);
    let mut callers = Vec::new();
    for log in fs::read_dir(archive)? {
        let folder = log?.path().display().to_string();
        let verified = project.run(&["audit", "verify", "--directory", &folder])?;
        ensure!(verified.status.success(), "{}", verified.stderr);
        let arguments = [
            "audit",
            "tail",
            "-n",
            "1000",
            "--directory",
            &folder,
            "--output",
            "jsonl",
        ];
        callers.push(project.run(&arguments)?.stdout);
    }
    let by_function = callers.iter().filter(|log| log.contains(ARN)).count();
    ensure!(callers.len() == 2 && by_function == 1, "{callers:#?}");
    let ended = function.terminate(Duration::from_secs(10))?;
    ensure!(ended.success(), "{ended}\n{}", function.output());
    Ok(())
}

/// The variables that a flow sees.
fn seen(project: &Project, action: &str, param: Option<&str>, more: &[&str]) -> Result<Value> {
    let mut arguments = vec!["actions", "simulate", action, "--json"];
    if let Some(param) = param {
        arguments.extend(["--param", param]);
    }
    arguments.extend(more);
    let ran = project.run(&arguments)?;
    ensure!(
        ran.status.success(),
        "{action}: {}\n{}",
        ran.stdout,
        ran.stderr
    );
    Ok(ran.json()?["finalResult"].clone())
}
