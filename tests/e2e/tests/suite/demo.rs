//! `flowlake demo`: what a stranger sees in the first minute.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{Environment, Process};

#[test]
fn the_demo_shows_all_its_parts() -> Result<()> {
    let environment = Environment::load()?;
    let folder = environment.folder("demo")?;
    let mut command = Command::new(environment.binary("flowlake"));
    command
        .env_clear()
        .current_dir(&folder)
        .args(["demo", "--rows", "20000"]);
    let mut demo = Process::start("demo", &folder, &mut command)?;
    let status = demo.wait(Duration::from_secs(120))?;
    let output = demo.output();
    ensure!(status.success(), "{status}:\n{output}");
    let text = output.to_lowercase();
    for part in ["queue_name", "cost", "audit", "profile", "etag", "usd"] {
        ensure!(text.contains(part), "the demo shows no {part}:\n{output}");
    }
    Ok(())
}

#[test]
fn the_curl_line_of_the_served_demo_works() -> Result<()> {
    let environment = Environment::load()?;
    let folder = environment.folder("demo-serve")?;
    let mut command = Command::new(environment.binary("flowlake"));
    command
        .env_clear()
        .current_dir(&folder)
        .args(["demo", "--serve", "--rows", "20000"]);
    let mut demo = Process::start("demo", &folder, &mut command)?;
    let log = folder.join("demo.log");
    demo.wait_until(Duration::from_secs(120), || {
        std::fs::read_to_string(&log).is_ok_and(|text| {
            text.lines()
                .any(|line| line.trim_start().starts_with("curl "))
        })
    })?;
    let output = demo.output();
    let line = output
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("curl "))
        .context("no curl line")?;
    let answer = Command::new("sh")
        .args(["-c", line])
        .output()
        .context("cannot run the curl line")?;
    let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
    ensure!(answer.contains("\"data\""), "`{line}` answered {answer}");
    let status = demo.terminate(Duration::from_secs(30))?;
    ensure!(status.code() == Some(0), "{status}:\n{}", demo.output());
    Ok(())
}
