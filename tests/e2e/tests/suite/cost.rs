//! What reads cost, through the command line: estimates beside actual costs, prices, budgets.

use std::fs;

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{Project, Setting};
use serde_json::{Value, json};

const ROWS: u64 = 2_000;

/// Runs the example that reads a whole file, and gives its full answer.
fn ask(project: &Project) -> Result<Value> {
    let finished = project.run(&["run", "queue-summary", "--format", "json", "--full"])?;
    ensure!(finished.status.success(), "{}", finished.stderr);
    finished.json()
}

#[test]
fn estimates_stand_beside_what_cost_explorer_says() -> Result<()> {
    let setting = Setting::start("cost-report", ROWS)?;
    let project = setting.examples("reader", "")?;
    let answer = ask(&project)?;
    let cost = answer["cost_tracking"]["metered"]["total_usd"]
        .as_str()
        .context("the answer has no price")?;
    let report = project.run(&["cost", "report", "--output", "json"])?;
    ensure!(report.status.success(), "{}", report.stderr);
    let report = report.json()?;
    ensure!(report["report"]["estimated_usd"] == cost, "{report}");
    // Thirty days at 0.25 USD, summed exactly.
    ensure!(report["report"]["actual_usd"] == "7.5", "{report}");
    ensure!(report["actuals_error"].is_null(), "{report}");
    ensure!(
        report["report"]["actual_groups"]
            == json!([{ "keys": ["DataTransfer-Out-Bytes"], "usd": "7.5" }]),
        "{report}"
    );
    let fetched = report["actuals"]["fetched_at"].clone();
    let again = project
        .run(&["cost", "report", "--output", "json"])?
        .json()?;
    ensure!(
        again["actuals"]["fetched_at"] == fetched,
        "the second report paid for a second answer"
    );
    let fresh = project.run(&["cost", "report", "--refresh", "--output", "json"])?;
    ensure!(
        fresh.json()?["actuals"]["fetched_at"] != fetched,
        "--refresh gave the old answer"
    );
    let text = project.run(&[
        "cost",
        "report",
        "--from",
        "2026-01-15",
        "--until",
        "2026-03-02",
        "--granularity",
        "monthly",
        "--group-by",
        "service",
    ])?;
    ensure!(text.status.success(), "{}", text.stderr);
    // 17 days of January, 28 of February, one of March.
    for part in [
        "2026-02-01",
        "4.25",
        "7",
        "11.5",
        "= ",
        "Amazon Simple Storage Service",
    ] {
        ensure!(text.stdout.contains(part), "no {part} in {}", text.stdout);
    }
    let csv = project.run(&[
        "cost",
        "report",
        "--from",
        "2026-03-01",
        "--until",
        "2026-03-03",
        "--output",
        "csv",
    ])?;
    ensure!(
        csv.stdout
            == "start,end,requests,unpriced,estimated_usd,actual_usd,actual_may_change\n2026-03-01,2026-03-02,0,0,0,0.25,false\n2026-03-02,2026-03-03,0,0,0,0.25,false\n",
        "{}",
        csv.stdout
    );
    Ok(())
}

#[test]
fn where_cost_explorer_refuses_the_actual_costs_are_an_error_and_never_zero() -> Result<()> {
    let setting = Setting::start("cost-refused", ROWS)?;
    let project = setting.examples("stranger", "")?;
    let report = project.run(&["cost", "report"])?;
    ensure!(report.status.code() == Some(6), "{}", report.status);
    ensure!(
        report.stderr.starts_with("error[cost.unavailable]: "),
        "{}",
        report.stderr
    );
    ensure!(
        report.stderr.contains("ce:GetCostAndUsage"),
        "{}",
        report.stderr
    );
    for part in ["unknown", "Cost Explorer gave no figures"] {
        ensure!(
            report.stdout.contains(part),
            "no {part} in {}",
            report.stdout
        );
    }
    let json = project.run(&["cost", "report", "--output", "json"])?;
    ensure!(json.status.code() == Some(6), "{}", json.status);
    let json = json.json()?;
    ensure!(
        json["report"]["actual_usd"].is_null()
            && json["actuals_error"]["code"] == "cost.unavailable",
        "{json}"
    );
    let estimates = project.run(&["cost", "report", "--no-actuals"])?;
    ensure!(estimates.status.success(), "{}", estimates.stderr);
    Ok(())
}

#[test]
fn aws_price_lists_are_taken_over_and_priced_with() -> Result<()> {
    let setting = Setting::start("cost-prices", ROWS)?;
    let lists = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../crates/cost-audit/tests/data"
    );
    let list = format!("{lists}/AmazonS3.json");
    let homeless = setting.examples("reader", "")?;
    let refused = homeless.run(&["cost", "prices", "--from", &list])?;
    ensure!(
        refused.status.code() == Some(2) && refused.stderr.contains("prices = \"prices.json\""),
        "{}",
        refused.stderr
    );
    let shown = homeless.run(&["cost", "prices", "--region", "us-east-1"])?;
    for part in [
        "STANDARD GET, HEAD",
        "0.0004",
        "https://",
        "transfer to the internet",
    ] {
        ensure!(shown.stdout.contains(part), "no {part} in {}", shown.stdout);
    }
    let project = setting.examples("reader", "[cost]\nprices = \"prices.json\"\n")?;
    let missing = project.run(&["run", "queue-summary"])?;
    ensure!(
        missing.status.code() == Some(2) && missing.stderr.contains("cost prices --from"),
        "{}",
        missing.stderr
    );
    let transfer = format!("{lists}/AWSDataTransfer.json");
    let taken = project.run(&["cost", "prices", "--from", &list, "--from", &transfer])?;
    ensure!(taken.status.success(), "{}", taken.stderr);
    ensure!(taken.stdout.contains("AmazonS3 of "), "{}", taken.stdout);
    let table = project.run(&["cost", "prices", "--json"])?.json()?;
    let as_of = table["as_of"].clone();
    ensure!(as_of.is_string(), "{table}");
    let answer = ask(&project)?;
    ensure!(
        answer["cost_tracking"]["metered"]["prices_as_of"] == as_of,
        "the run was priced with another table than {as_of}: {}",
        answer["cost_tracking"]
    );
    let broken = setting.folder.join("broken.json");
    fs::write(&broken, "{}")?;
    let broken = project.run(&["cost", "prices", "--from", &broken.to_string_lossy()])?;
    ensure!(broken.status.code() == Some(2), "{}", broken.stderr);
    Ok(())
}

#[test]
fn a_budget_outlives_the_process_that_spent_it() -> Result<()> {
    let setting = Setting::start("cost-budget", ROWS)?;
    // One run costs at most a HEAD and a few GETs at 0.0000004 USD; a second one goes over.
    let probe = setting.examples("reader", "")?;
    let answer = ask(&probe)?;
    let estimate = answer["cost_tracking"]["estimate"]["total_usd"]
        .as_str()
        .context("no estimate")?
        .to_owned();
    fs::remove_dir_all(probe.audit_folder())?;
    let budget = format!("[budget.actions.queue-summary]\nmonthly_usd = \"{estimate}\"\n");
    let project = setting.examples("reader", &budget)?;
    ask(&project)?;
    let refused = project.run(&["run", "queue-summary"])?;
    ensure!(
        refused.status.code() == Some(5)
            && refused.stderr.starts_with(
                "error[budget.exceeded]: the monthly budget of action `queue-summary`"
            ),
        "{} {}",
        refused.status,
        refused.stderr
    );
    let records = project.audit_records()?;
    ensure!(
        records.len() == 2 && records[1]["record"]["code"] == "budget.exceeded",
        "{records:?}"
    );
    let warned = setting.examples("reader", &format!("{budget}over = \"warn\"\n"))?;
    let warned = warned.run(&["run", "queue-summary"])?;
    ensure!(
        warned.status.success() && warned.stderr.contains("note: the monthly budget"),
        "{}",
        warned.stderr
    );
    Ok(())
}
