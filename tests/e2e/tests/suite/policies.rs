//! The policy cases that `aws-access` is tested with, decided by two evaluators that are not ours: iam-simulate, which knows
//! the whole language, and moto, which enforces what it knows of it on real requests.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{Environment, Moto, piped};
use serde_json::{Value, json};

const TABLE: &str = include_str!("../../../../crates/aws-access/tests/data/policy-cases.json");

/// The cases of the table.
fn cases() -> Result<Vec<Value>> {
    let mut table: Value = serde_json::from_str(TABLE)?;
    serde_json::from_value(table["cases"].take()).context("the table has no cases")
}

/// What S3 does in a case, by our table.
fn expected(case: &Value) -> Option<&str> {
    case.get("real").unwrap_or(&case["expect"]).as_str()
}

#[test]
fn what_an_evaluator_cannot_answer_is_said_with_its_reason() -> Result<()> {
    let cases = cases()?;
    ensure!(cases.len() >= 60, "{} cases", cases.len());
    for case in &cases {
        for judge in ["moto", "judge"] {
            let reason = case.get(judge);
            ensure!(
                reason.is_none_or(|reason| reason.as_str().is_some_and(|text| text.len() > 10)),
                "{} gives no reason: {reason:?}",
                case["name"]
            );
        }
    }
    let unanswered = |judge: &str| {
        cases
            .iter()
            .filter(|case| case.get(judge).is_some())
            .count()
    };
    // A new case that cannot be judged has to change these numbers.
    ensure!(
        unanswered("judge") == 1,
        "iam-simulate does not answer {}",
        unanswered("judge")
    );
    ensure!(
        cases.len() - unanswered("moto") == 35,
        "moto answers {}",
        cases.len() - unanswered("moto")
    );
    Ok(())
}

#[test]
fn iam_simulate_decides_as_our_table_does() -> Result<()> {
    let environment = Environment::load()?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/node/judge.cjs");
    let mut command = Command::new("node");
    command.arg(script).arg(environment.node_packages()?);
    let told: Vec<String> = serde_json::from_str(&piped(&mut command, TABLE)?)?;
    let cases = cases()?;
    ensure!(
        told.len() == cases.len(),
        "{} decisions for {} cases",
        told.len(),
        cases.len()
    );
    let judged = cases
        .iter()
        .zip(&told)
        .filter(|(case, _)| case.get("judge").is_none());
    let wrong: Vec<_> = judged
        .filter(|(case, told)| expected(case) != Some(told.as_str()))
        .map(|(case, told)| format!("{}: {told}, not {:?}", case["name"], expected(case)))
        .collect();
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn moto_lets_through_what_our_table_allows() -> Result<()> {
    let environment = Environment::load()?;
    let folder = environment.folder("policies")?;
    let moto = Moto::start(&environment, &folder)?;
    let cases: Vec<_> = cases()?
        .into_iter()
        .filter(|case| case.get("moto").is_none())
        .collect();
    let answered = environment.python().call(
        "policy_cases",
        &json!({ "endpoint": moto.url(), "cases": cases }),
    )?;
    let answered: Vec<bool> = serde_json::from_value(answered)?;
    ensure!(
        answered.len() == cases.len(),
        "{} answers for {} cases",
        answered.len(),
        cases.len()
    );
    let wrong: Vec<_> = cases
        .iter()
        .zip(answered)
        .filter(|(case, is_allowed)| *is_allowed != (expected(case) == Some("allowed")))
        .map(|(case, is_allowed)| format!("{}: allowed is {is_allowed}", case["name"]))
        .collect();
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}
