//! The exposition texts, also read by a parser that is not ours: Prometheus' own `promtool`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use flowlake_profiler::{Gauge, Phase, Profiler, ProfilerSettings, Sample};

fn profiler() -> Profiler {
    let profiler = Profiler::new(ProfilerSettings {
        started_at_unix_ms: 1_790_000_000_000,
        ..ProfilerSettings::default()
    });
    for number in 0..200_u64 {
        profiler.record(&Sample {
            at_unix_ms: 1_790_000_000_000 + number,
            action: if number % 3 == 0 {
                "odd \"name\"\\\n"
            } else {
                "agent-scorecard"
            }
            .to_owned(),
            code: if number % 7 == 0 {
                "s3.no_such_key"
            } else {
                "ok"
            }
            .to_owned(),
            duration: Duration::from_micros(number * number * 100),
            phases: Phase::ALL
                .map(|phase| (phase, Duration::from_micros(number * 10)))
                .to_vec(),
            bytes: number,
            rows: 1,
            cache_hit: number % 2 == 0,
            trace_id: Some(format!("{number:032x}")),
        });
    }
    profiler
}

fn gauges() -> [Gauge; 2] {
    [
        Gauge {
            name: "flowlake_budget_spent_usd",
            help: "Spent of a budget.",
            values: vec![
                (
                    vec![
                        ("action", "a \"b\"".to_owned()),
                        ("period", "day".to_owned()),
                    ],
                    1e-7,
                ),
                (
                    vec![("action", "c".to_owned()), ("period", "day".to_owned())],
                    2.0,
                ),
            ],
        },
        Gauge {
            name: "flowlake_audit_writable",
            help: "Whether records can be written.",
            values: vec![(vec![], 1.0)],
        },
    ]
}

#[test]
fn gauges_are_in_both_texts() {
    let text = profiler().prometheus_with(&gauges());
    assert!(
        text.contains("flowlake_budget_spent_usd{action=\"a \\\"b\\\"\",period=\"day\"} 1e-7\n")
    );
    assert!(text.contains("flowlake_audit_writable 1.0\n"));
    let open = profiler().openmetrics_with(&gauges());
    assert!(open.ends_with("flowlake_audit_writable 1.0\n# EOF\n"));
}

#[test]
fn buckets_are_cumulative_and_end_in_the_count() {
    let text = profiler().prometheus();
    let prefix = "flowlake_request_duration_seconds_bucket{action=\"agent-scorecard\"";
    let counts: Vec<u64> = text
        .lines()
        .filter(|line| line.starts_with(prefix))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(counts.is_sorted());
    assert_eq!(*counts.last().unwrap(), 133);
    assert!(
        text.contains("flowlake_request_duration_seconds_count{action=\"agent-scorecard\"} 133\n")
    );
    assert!(
        !text.contains("trace_id"),
        "the Prometheus text has no exemplars"
    );
}

#[test]
fn openmetrics_has_exemplars_and_an_end() {
    let text = profiler().openmetrics();
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("# TYPE flowlake_requests counter\n"));
    let with_exemplar = text
        .lines()
        .find(|line| line.contains("le=\"0.00025\"") && line.contains("# {trace_id="))
        .unwrap();
    assert!(
        with_exemplar.ends_with("} 0.0001 1790000000.001"),
        "{with_exemplar}"
    );
}

/// Prometheus' own checker of its format.
mod needs_promtool {
    use super::*;

    #[test]
    fn promtool_accepts_the_prometheus_text() {
        let text = profiler().prometheus_with(&gauges());
        let (accepted, said) = promtool(&text);
        assert!(accepted, "{said}");
        assert_eq!(said, "", "promtool has advice");
        let (accepted, _) = promtool("flowlake broken{ 1\n");
        assert!(!accepted, "promtool accepts anything, so it proves nothing");
    }

    fn promtool(text: &str) -> (bool, String) {
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is missing: apt-get install prometheus");
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        (output.status.success(), said)
    }
}
