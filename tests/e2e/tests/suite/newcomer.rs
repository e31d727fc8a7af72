//! The path of a newcomer in the README, line by line, and what it sent to the platform.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{Finished, Project, Server, Setting};
use serde_json::{Value, json};

/// Stands for anything in the README's outputs; alone on a line, for any lines.
const ANYTHING: &str = "…";

/// The other door.
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:flowlake:live";

#[test]
fn the_readme_leads_from_nothing_to_a_data_action() -> Result<()> {
    let setting = Setting::start("newcomer", 20_000)?;
    let folder = setting.folder.join("my-project");
    let project = Project::open(&setting.environment, &folder, setting.stack.keys("reader")?)
        .with_variable("FLOWLAKE_SERVER_KEY", Server::KEY);
    let mut took = Duration::ZERO;
    let mut server = None;
    for (command, output) in steps()? {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["flowlake", "init", "my-project"] => {
                let ran = Command::new(setting.environment.binary("flowlake"))
                    .args(&words[1..])
                    .env_clear()
                    .current_dir(&setting.folder)
                    .output()?;
                ensure!(ran.status.success(), "{ran:?}");
                matches(&output, &String::from_utf8(ran.stdout)?)?;
                edit(&setting, &folder, "http://127.0.0.1:9")?;
            }
            ["flowlake-server", ..] => {
                let started = project.serve()?;
                edit(&setting, &folder, started.url())?;
                server = Some(started);
            }
            ["flowlake", "--config", "my-project", rest @ ..] => {
                let ran = project.run(rest)?;
                took += ran.duration;
                ensure!(
                    ran.status.success(),
                    "{command}: {}\n{}",
                    ran.stdout,
                    ran.stderr
                );
                matches(&output, &ran.stdout).with_context(|| command.clone())?;
            }
            _ => anyhow::bail!("the README has a command that this test does not know: {command}"),
        }
    }
    ensure!(server.is_some() && took < Duration::from_secs(300));
    what_was_sent(&setting, &project)
}

/// Everything that publishing sends is as the official SDK's models have it.
fn what_was_sent(setting: &Setting, project: &Project) -> Result<()> {
    // Another timeout: the action is changed in place, through a draft.
    let path = project.folder().join("actions/agent-scorecard.toml");
    let text = fs::read_to_string(&path)?;
    fs::write(&path, text.replace("timeout = \"8s\"", "timeout = \"9s\""))?;
    // And through the function, an action of another integration, whose documents the models have to take as well.
    let publish = ["actions", "publish", "agent-scorecard"];
    for via in [&[][..], &["--via", "lambda"]] {
        let Finished { status, stderr, .. } = project.run(&[&publish[..], via].concat())?;
        ensure!(status.success(), "{stderr}");
    }
    let mut bodies = Vec::<Value>::new();
    for (model, operation, least) in [
        (
            "PostActionInput",
            "POST /api/v2/integrations/actions/drafts",
            2,
        ),
        (
            "UpdateDraftInput",
            "PATCH /api/v2/integrations/actions/{id}/draft",
            1,
        ),
        (
            "PublishDraftInput",
            "POST /api/v2/integrations/actions/{id}/draft/publish",
            3,
        ),
    ] {
        let sent = setting.stack.genesys_bodies(operation)?;
        ensure!(
            sent.len() >= least,
            "{operation} was sent {} times",
            sent.len()
        );
        bodies.extend(sent.into_iter().map(|body| json!([model, body])));
    }
    let wrong = setting
        .environment
        .python()
        .call("genesys_models", &json!({ "bodies": bodies }))?;
    ensure!(wrong == json!([]), "{wrong:#}");
    Ok(())
}

/// The commands of the README's section with their outputs.
fn steps() -> Result<Vec<(String, Vec<String>)>> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md"))?;
    let section = readme
        .split("## From nothing to a data action")
        .nth(1)
        .context("the README has no such section")?;
    let block = section
        .split("```console\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .context("the section has no commands")?;
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                let command = command.trim_end_matches(" &");
                steps.push((command.to_owned(), Vec::new()));
            }
            (None, Some((_, output))) => output.push(line.to_owned()),
            (None, None) => anyhow::bail!("an output without a command: {line}"),
        }
    }
    ensure!(steps.len() == 6, "{steps:?}");
    Ok(steps)
}

/// What the newcomer writes into the configuration.
fn edit(setting: &Setting, folder: &Path, url: &str) -> Result<()> {
    let path = folder.join("flowlake.toml");
    let text = fs::read_to_string(&path)?;
    let text = text.split("\n[genesys]").next().unwrap_or_default();
    let endpoints = format!(
        "[aws]\nendpoint_url = \"{}\"\ns3_endpoint_url = \"{}\"\npath_style = true\n",
        setting.stack.aws_url(),
        setting.stack.s3_url()
    );
    let text = if text.contains("path_style") {
        text.to_owned()
    } else {
        text.replacen("[aws]\n", &endpoints, 1)
    };
    let genesys = setting.stack.genesys_section(&setting.folder)?;
    let platform = setting.stack.genesys_endpoints();
    let (api, integration, functions) = (
        &platform["genesys_api_url"],
        &platform["genesys_integration_id"],
        &platform["genesys_function_integration_id"],
    );
    let lambda =
        format!("[publish.lambda]\nfunction = \"{FUNCTION}\"\nintegration_id = {functions}\n");
    let publish = format!("[publish]\nurl = \"{url}\"\nintegration_id = {integration}\n{lambda}");
    fs::write(
        path,
        format!("{text}\n{genesys}api_url = {api}\n\n{publish}"),
    )?;
    Ok(())
}

/// Whether an output is what the README shows.
fn matches(shown: &[String], told: &str) -> Result<()> {
    let mut told_lines = told.lines();
    let mut any_lines = false;
    for line in shown {
        if line == ANYTHING {
            any_lines = true;
            continue;
        }
        let found = if any_lines {
            told_lines.any(|found| line_matches(line, found))
        } else {
            told_lines
                .next()
                .is_some_and(|found| line_matches(line, found))
        };
        ensure!(found, "{line:?} is not in its place in\n{told}");
        any_lines = false;
    }
    ensure!(
        any_lines || told_lines.all(str::is_empty),
        "there is more in\n{told}"
    );
    Ok(())
}

fn line_matches(shown: &str, told: &str) -> bool {
    let mut rest = told;
    for (index, part) in shown.split(ANYTHING).enumerate() {
        let Some(at) = rest.find(part) else {
            return false;
        };
        if index == 0 && at > 0 {
            return false;
        }
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || shown.ends_with(ANYTHING)
}
