//! What a scraper gets from a pipeline, with everything switched on, also read by Prometheus' own `promtool`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::support::{CALLER, House};
use serde_json::json;

const CONFIG: &str = r#"
[budget.total]
daily_usd = "0.5"
[budget.actions.look-up]
monthly_usd = 1
[audit.ship]
uri = "s3://lake/archive"
"#;

#[tokio::test]
async fn names_that_callers_make_up_are_counted_together() {
    let house = House::build(&[]).await;
    for number in 0..200 {
        let name = format!("made-up-{number}");
        house.run(&name, json!({})).await.unwrap_err();
    }
    house
        .run("look-up", json!({ "ani": CALLER }))
        .await
        .unwrap();
    let text = house.pipeline.prometheus();
    assert!(!text.contains("made-up"), "{text}");
    for counted in [
        "flowlake_requests_total{action=\"(unknown)\",code=\"action.unknown\"} 200",
        "flowlake_requests_total{action=\"look-up\",code=\"ok\"} 1",
    ] {
        assert!(text.contains(counted), "no {counted} in {text}");
    }
}

/// The text of a pipeline with everything switched on.
async fn everything() -> String {
    let house = House::build_with(CONFIG, &[]).await;
    house
        .run("look-up", json!({ "ani": CALLER }))
        .await
        .unwrap();
    house.run("look-up", json!({})).await.unwrap_err();
    house.pipeline.prometheus()
}

#[tokio::test]
async fn every_part_is_in_the_text() {
    let text = everything().await;
    for name in [
        "flowlake_requests_total{action=\"look-up\",code=\"param.invalid\"} 1",
        "flowlake_audit_writable 1.0",
        "flowlake_part_up{part=\"audit\"} 1.0",
        "flowlake_query_memory_bytes 0.0",
        "flowlake_spill_bytes 0.0",
        "flowlake_part_up{part=\"access\"} 1.0",
        "flowlake_part_up{part=\"genesys\"} 1.0",
        "flowlake_audit_segments_pending",
        "flowlake_budget_usd{action=\"look-up\",period=\"month\"} 1.0",
        "flowlake_spent_usd{action=\"*\",period=\"day\"}",
    ] {
        assert!(text.contains(name), "no {name} in {text}");
    }
}

/// Prometheus' own checker of its format.
mod needs_promtool {
    use super::*;

    #[tokio::test]
    async fn promtool_accepts_all_of_it() {
        let text = everything().await;
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is missing: apt-get install prometheus");
        let mut input = child.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{text}");
        assert_eq!(said, "", "promtool has advice");
    }
}
