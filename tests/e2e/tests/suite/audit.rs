//! The audit log of real runs, through the command line: verified, with damage detected, searched and exported.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{Finished, Project, Server, Setting, audit_records, request, request_with};
use serde_json::{Value, json};

const ROWS: u64 = 2_000;

/// The key that finished segments are signed with, and its public half as OpenSSL computes it.
const SEAL_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const PUBLIC_KEY: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";

/// Segments of a few records, so that some are finished; first behind [audit.log].
const MORE: &str = "max_segment_bytes = 2400\n[audit.seal_key]\nenv = \"FLOWLAKE_E2E_SEAL_KEY\"\n";

/// The examples with a log of small, signed segments.
struct Logged {
    project: Project,
    setting: Setting,
}

impl Logged {
    fn start(test: &str) -> Result<Self> {
        let setting = Setting::start(test, ROWS)?;
        let project = setting
            .examples("reader", MORE)?
            .with_variable("FLOWLAKE_E2E_SEAL_KEY", SEAL_KEY);
        Ok(Self { project, setting })
    }

    /// Answers and refusals through the server, with everything a flow sends, and one run at the terminal.
    fn run_attempts(&self) -> Result<()> {
        let mut server = self.project.serve()?;
        let url = format!("{}/v1/actions/agent-scorecard", server.url());
        for number in 0..6 {
            let agent = if number == 4 {
                "nobody"
            } else {
                self.setting.files.example_agent_id.as_str()
            };
            let conversation = format!("conversation-{number}");
            let headers = [
                ("X-Genesys-Conversation-Id", conversation.as_str()),
                ("X-Genesys-Organization-Id", "organisation-1"),
                ("X-Correlation-Id", "correlation-1"),
            ];
            let body = json!({ "agent_id": agent });
            let answer = request_with(&url, Some(Server::KEY), &headers, Some(&body))?;
            let expected = if number == 4 { 400 } else { 200 };
            ensure!(answer.status == expected, "{}", answer.body);
        }
        let missing = server.call("queue-summary", &json!({ "date": "2020-02-29" }))?;
        ensure!(missing.status == 404, "{}", missing.body);
        let status = server.process().terminate(Duration::from_secs(30))?;
        ensure!(status.success(), "{status}");
        let asked = self.project.run(&["run", "queue-summary"])?;
        ensure!(asked.status.success(), "{}", asked.stderr);
        Ok(())
    }

    /// What a command that succeeds prints.
    fn read(&self, arguments: &[&str]) -> Result<String> {
        let finished = self.project.run(arguments)?;
        ensure!(
            finished.status.success(),
            "{arguments:?}: {}",
            finished.stderr
        );
        Ok(finished.stdout)
    }

    fn verify(&self, folder: &Path, more: &[&str]) -> Result<Finished> {
        let folder = folder.to_string_lossy().into_owned();
        let mut arguments = vec!["audit", "verify", "--directory", &folder];
        arguments.extend(more);
        self.project.run(&arguments)
    }
}

/// A copy of the log to damage.
fn copy(from: &Path, to: &Path) -> Result<PathBuf> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(to.to_owned())
}

/// The log's files, oldest first.
fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    paths.sort();
    Ok(paths)
}

fn lines(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path)?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn write(path: &Path, lines: &[String]) -> Result<()> {
    Ok(fs::write(path, lines.join("\n") + "\n")?)
}

fn assert_broken(finished: &Finished, kind: &str, sequence: usize) -> Result<()> {
    ensure!(
        finished.status.code() == Some(4),
        "{kind}: {}\n{}\n{}",
        finished.status,
        finished.stdout,
        finished.stderr
    );
    let named = format!("error[audit.broken]: {kind} at record {sequence} (");
    ensure!(
        finished.stderr.starts_with(&named),
        "no `{named}` in {}",
        finished.stderr
    );
    ensure!(
        !finished.stdout.contains("the chain is whole"),
        "{}",
        finished.stdout
    );
    Ok(())
}

#[test]
fn a_log_of_real_runs_is_proven_and_every_kind_of_damage_is_found() -> Result<()> {
    let logged = Logged::start("audit-verify")?;
    logged.run_attempts()?;
    let log = logged.project.audit_folder();
    let whole = logged.project.run(&["audit", "verify"])?;
    ensure!(whole.status.success(), "{}", whole.stderr);
    for part in ["8 records", "the chain is whole", PUBLIC_KEY] {
        ensure!(whole.stdout.contains(part), "no {part} in {}", whole.stdout);
    }
    let report = logged.project.run(&["audit", "verify", "--json"])?.json()?;
    ensure!(report["intact"] == true, "{report}");
    let sealed = report["report"]["sealed_segments"].as_u64();
    ensure!(sealed.is_some_and(|sealed| sealed >= 2), "{report}");
    let last = &report["report"]["last_hash"];
    let receipt = format!("8:{}", last.as_str().context("no last hash")?);

    // Edited: one figure of the second record.
    let folder = copy(&log, &logged.setting.folder.join("edited"))?;
    let first = segments(&folder)?.remove(0);
    let mut edited = lines(&first)?;
    ensure!(edited.len() >= 3, "segments of {} records", edited.len());
    edited[1] = edited[1].replacen("\"duration_ms\":", "\"duration_ms\":1", 1);
    write(&first, &edited)?;
    assert_broken(&logged.verify(&folder, &[])?, "edited", 2)?;

    // Reordered: the second and the third change places.
    let folder = copy(&log, &logged.setting.folder.join("reordered"))?;
    let first = segments(&folder)?.remove(0);
    let mut reordered = lines(&first)?;
    reordered.swap(1, 2);
    write(&first, &reordered)?;
    assert_broken(&logged.verify(&folder, &[])?, "missing", 2)?;
    let mut repeated = lines(&segments(&log)?.remove(0))?;
    repeated[2] = repeated[0].clone();
    write(&first, &repeated)?;
    assert_broken(&logged.verify(&folder, &[])?, "reordered", 3)?;

    // Spliced: a record of another log, right in itself, with the number that fits.
    let other = Logged::start("audit-other")?;
    other.run_attempts()?;
    let foreign = lines(&segments(&other.project.audit_folder())?.remove(0))?;
    let folder = copy(&log, &logged.setting.folder.join("spliced"))?;
    let first = segments(&folder)?.remove(0);
    let mut spliced = lines(&first)?;
    spliced[1] = foreign[1].clone();
    write(&first, &spliced)?;
    assert_broken(&logged.verify(&folder, &[])?, "spliced", 2)?;

    // Cut in the middle: a record, and then a whole file.
    let folder = copy(&log, &logged.setting.folder.join("cut-middle"))?;
    let first = segments(&folder)?.remove(0);
    let mut cut = lines(&first)?;
    cut.remove(1);
    write(&first, &cut)?;
    assert_broken(&logged.verify(&folder, &[])?, "missing", 2)?;
    let folder = copy(&log, &logged.setting.folder.join("cut-file"))?;
    let first = segments(&folder)?.remove(0);
    let first_count = lines(&first)?.len();
    fs::remove_file(&first)?;
    assert_broken(&logged.verify(&folder, &[])?, "missing", 1)?;

    // Cut at the end: only who kept a receipt, or trusts the seals' key, can know.
    let folder = copy(&log, &logged.setting.folder.join("cut-end"))?;
    let last = segments(&folder)?.pop().context("no segment")?;
    let kept = lines(&last)?;
    let left = 8 - kept.len();
    fs::remove_file(&last)?;
    let unaware = logged.verify(&folder, &[])?;
    ensure!(unaware.status.success(), "{}", unaware.stderr);
    assert_broken(
        &logged.verify(&folder, &["--receipt", &receipt])?,
        "cut_end",
        left + 1,
    )?;
    let folder = copy(&log, &logged.setting.folder.join("cut-sealed"))?;
    let first = segments(&folder)?.remove(0);
    let mut shortened = lines(&first)?;
    shortened.pop();
    write(&first, &shortened)?;
    for later in segments(&folder)?.iter().skip(1) {
        fs::remove_file(later)?;
    }
    assert_broken(
        &logged.verify(&folder, &["--public-key", PUBLIC_KEY])?,
        "bad_seal",
        first_count,
    )?;

    // Unsigned, or signed by somebody else.
    let stranger = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_broken(
        &logged.verify(&log, &["--public-key", stranger])?,
        "bad_seal",
        first_count + 1,
    )?;

    // A log that is not there is not a whole one.
    let nothing = logged.verify(&logged.setting.folder.join("nothing"), &[])?;
    ensure!(nothing.status.code() == Some(6), "{}", nothing.status);
    ensure!(
        nothing.stderr.contains("error[audit.unreadable]"),
        "{}",
        nothing.stderr
    );
    Ok(())
}

#[test]
fn a_killed_server_has_a_record_of_every_answer() -> Result<()> {
    const ROUNDS: u64 = 8;
    const CLIENTS: usize = 6;
    let logged = Logged::start("audit-killed")?;
    let body = json!({ "agent_id": logged.setting.files.example_agent_id });
    let mut answered = Vec::new();
    let count = Arc::new(AtomicU64::new(0));
    for round in 0..ROUNDS {
        let server = logged.project.serve()?;
        let url = format!("{}/v1/actions/agent-scorecard", server.url());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (url, body, count) = (url.clone(), body.clone(), Arc::clone(&count));
                thread::spawn(move || {
                    let mut ids = Vec::new();
                    // Until nobody answers any more.
                    while let Ok(answer) = request(&url, Some(Server::KEY), Some(&body)) {
                        let id = answer.json().ok().map(|json| json["audit_id"].clone());
                        ids.extend(id.filter(|id| answer.status == 200 && id.is_string()));
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    ids
                })
            })
            .collect();
        // At another moment each time, once some have been answered.
        for _ in 0..30_000 {
            if count.load(Ordering::Relaxed) >= (round + 1) * 8 {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(round * 37 % 60));
        // Dropping it is a SIGKILL.
        drop(server);
        for client in clients {
            answered.extend(client.join().ok().context("a client panicked")?);
        }
    }
    ensure!(answered.len() > 40, "only {} answers", answered.len());
    let records = logged.project.audit_records()?;
    for id in &answered {
        let count = records
            .iter()
            .filter(|record| record["record"]["id"] == *id)
            .count();
        ensure!(count == 1, "{count} records of the answer {id}");
    }
    // The next start repairs a torn last line; then the chain goes on.
    let asked = logged.project.run(&["run", "queue-summary"])?;
    ensure!(asked.status.success(), "{}", asked.stderr);
    let verified = logged.project.run(&["audit", "verify"])?;
    ensure!(verified.status.success(), "{}", verified.stderr);
    Ok(())
}

#[test]
fn on_a_full_disk_requests_are_refused_and_nothing_is_lost() -> Result<()> {
    let logged = Logged::start("audit-full")?;
    // One segment, so that the limit on files is the log's.
    let config = logged.project.folder().join("flowlake.toml");
    let text = fs::read_to_string(&config)?;
    fs::write(&config, text.replace("max_segment_bytes = 2400\n", ""))?;
    let server = logged.project.serve_with_small_files(24)?;
    let body = json!({ "agent_id": logged.setting.files.example_agent_id });
    let mut answered = 0;
    let refused = loop {
        let answer = server.call("agent-scorecard", &body)?;
        if answer.status != 200 {
            break answer;
        }
        answered += 1;
        ensure!(answered < 100, "the disk never was full");
    };
    ensure!(
        refused.status == 503 && refused.json()?["error"]["code"] == "audit.unavailable",
        "{}",
        refused.body
    );
    ensure!(refused.json()?["data"].is_null(), "{}", refused.body);
    let ready = server.operators("/readyz")?;
    ensure!(
        ready.status == 503 && ready.body.contains("audit log"),
        "{} {}",
        ready.status,
        ready.body
    );
    let metrics = server.operators("/metrics")?;
    ensure!(
        metrics.body.contains("\nflowlake_audit_writable 0.0\n"),
        "{}",
        metrics.body
    );
    ensure!(
        server.call("agent-scorecard", &body)?.status == 503,
        "a request was answered without a record"
    );
    drop(server);
    ensure!(answered > 5, "only {answered} answers fitted");
    let records = logged.project.audit_records()?;
    ensure!(records.len() == answered, "{} of {answered}", records.len());
    let verified = logged.project.run(&["audit", "verify"])?;
    ensure!(verified.status.success(), "{}", verified.stderr);
    Ok(())
}

#[test]
fn records_are_found_by_every_condition() -> Result<()> {
    let logged = Logged::start("audit-search")?;
    logged.run_attempts()?;
    let search = |conditions: &[&str]| -> Result<Vec<u64>> {
        let mut arguments = vec!["audit", "search", "--output", "jsonl"];
        arguments.extend(conditions);
        let found = logged.read(&arguments)?;
        let numbers = found.lines().map(|line| -> Result<u64> {
            let entry: Value = serde_json::from_str(line)?;
            entry["sequence"].as_u64().context("no sequence")
        });
        numbers.collect()
    };
    let records = audit_records(&logged.project.audit_folder())?;
    ensure!(records.len() == 8, "{} records", records.len());
    let record = &records[2]["record"];
    for (member, value) in [
        ("caller", "e2e"),
        ("organization", "organisation-1"),
        ("conversation_id", "conversation-2"),
        ("correlation_id", "correlation-1"),
        ("compliance_tag", "S3-ACCESS-AUDIT"),
    ] {
        ensure!(record[member] == value, "{member}: {record}");
    }
    let etag = &record["objects"][0]["etag"];
    ensure!(
        etag.is_string() && record["objects"][0]["size"].is_u64(),
        "{record}"
    );
    let request_id = record["request_ids"][0].as_str().context("no request id")?;
    // What was refused names what it was about.
    let refused = &records[6]["record"];
    ensure!(
        refused["objects"][0]["key"] == "exports/2020-02-29/conversation_metrics.csv",
        "{refused}"
    );
    ensure!(search(&["--conversation", "conversation-2"])? == [3]);
    ensure!(search(&["--correlation", "correlation-1"])?.len() == 6);
    ensure!(search(&["--organization", "organisation-1", "--limit", "2"])? == [1, 2]);
    ensure!(search(&["--key-name", "e2e"])? == [1, 2, 3, 4, 5, 6, 7]);
    ensure!(search(&["--action", "queue-summary"])? == [7, 8]);
    ensure!(search(&["--outcome", "failed"])? == [5, 7]);
    ensure!(search(&["--code", "param.invalid"])? == [5]);
    let principal = "arn:aws:iam::123456789012:user/reader";
    ensure!(search(&["--principal", principal, "--outcome", "success"])?.len() == 6);
    ensure!(search(&["--request-id", request_id])?.len() == 1);
    ensure!(
        search(&[
            "--bucket",
            "genesys-data-lake",
            "--key-prefix",
            "exports/2020"
        ])? == [7]
    );
    let (since, until) = (
        record["time"].as_str(),
        records[4]["record"]["time"].as_str(),
    );
    let (since, until) = (since.context("no time")?, until.context("no time")?);
    ensure!(search(&["--since", since, "--until", until])? == [3, 4]);
    ensure!(search(&["--until", "2020-01-01"])?.is_empty());
    Ok(())
}

#[test]
fn records_are_shown_and_exported_in_every_form() -> Result<()> {
    let logged = Logged::start("audit-export")?;
    logged.run_attempts()?;
    let tail = logged.read(&["audit", "tail", "-n", "2"])?;
    let tail: Vec<_> = tail.lines().collect();
    ensure!(
        tail.len() == 2 && tail[0].starts_with("#7 ") && tail[1].starts_with("#8 "),
        "{tail:?}"
    );
    ensure!(
        tail[0].contains(" s3.no_such_key queue-summary by e2e: "),
        "{tail:?}"
    );

    let ocsf = logged.read(&["audit", "export", "--format", "ocsf"])?;
    let events: Vec<Value> = ocsf
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(events.len() == 8, "{} events", events.len());
    ensure!(
        events[0]["class_uid"] == 6003 && events[0]["type_uid"] == 600_302,
        "{}",
        events[0]
    );
    ensure!(
        events[0]["metadata"]["correlation_uid"] == "correlation-1",
        "{}",
        events[0]
    );
    let csv = logged.read(&["audit", "export", "--format", "csv", "--outcome", "failed"])?;
    ensure!(csv.lines().count() == 3, "{csv}");
    let file = logged.setting.folder.join("export.jsonl");
    let to = file.to_string_lossy().into_owned();
    logged.read(&["audit", "export", "--to", &to])?;
    ensure!(
        lines(&file)?.len() == 8 && lines(&file)?[0].contains("\"hash\""),
        "the file has not the records"
    );
    let again = logged.project.run(&["audit", "export", "--to", &to])?;
    ensure!(
        !again.status.success(),
        "an export wrote over another: {}",
        again.stderr
    );
    Ok(())
}
