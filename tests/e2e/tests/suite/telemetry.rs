//! Traces of the server, taken by a receiver that reads the OpenTelemetry project's own messages.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{OtlpReceiver, Outputs, Server, Setting, free_ports, request_with};
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER_SPAN: &str = "b7ad6b7169203331";

const ROWS: u64 = 2_000;

fn ask(server: &Server, action: &str, body: &Value, traceparent: Option<&str>) -> Result<u16> {
    let url = format!("{}/v1/actions/{action}", server.url());
    let headers: Vec<_> = traceparent
        .map(|value| ("traceparent", value))
        .into_iter()
        .collect();
    Ok(request_with(&url, Some(Server::KEY), &headers, Some(body))?.status)
}

#[test]
fn a_receiver_gets_a_span_for_each_phase_below_the_callers() -> Result<()> {
    let setting = Setting::start("telemetry-spans", ROWS)?;
    let receiver = OtlpReceiver::start(&setting.environment, &setting.folder)?;
    let project = setting
        .examples("reader", "")?
        .with_variable("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url())
        .with_variable("OTEL_SERVICE_NAME", "flowlake-under-test");
    let mut server = project.serve()?;
    let ani = setting.files.example_ani.as_str();
    let parent = format!("00-{TRACE}-{CALLER_SPAN}-01");
    ensure!(
        ask(
            &server,
            "caller-profile",
            &json!({ "ani": ani }),
            Some(&parent)
        )? == 200
    );
    let missing = json!({ "date": "2020-02-29" });
    ensure!(ask(&server, "queue-summary", &missing, None)? == 404);
    let unsampled = "00-11111111111111111111111111111111-2222222222222222-00";
    ensure!(
        ask(
            &server,
            "wrapup-codes",
            &json!({ "queue": "Billing" }),
            Some(unsampled)
        )? == 200
    );

    assert_exemplars(&server)?;

    // The end of the process sends what is left: nothing was waited for.
    let status = server.process().terminate(Duration::from_secs(30))?;
    ensure!(status.success(), "{status}: {}", server.process().output());
    let spans = receiver.spans()?;
    let requests: Vec<_> = spans
        .iter()
        .filter(|span| span["name"] == "POST /v1/actions/{name}")
        .collect();
    ensure!(requests.len() == 2, "{spans:?}");
    let request = requests
        .iter()
        .find(|span| span["trace_id"] == TRACE)
        .context("no span continues the caller's trace")?;
    ensure!(request["parent_span_id"] == CALLER_SPAN, "{request}");
    ensure!(request["kind"] == 2, "not a server's span: {request}");
    ensure!(
        request["resource"]["service.name"] == "flowlake-under-test",
        "{request}"
    );
    ensure!(
        request["attributes"]["flowlake.action"] == "caller-profile"
            && request["attributes"]["http.response.status_code"] == 200,
        "{request}"
    );
    assert_phases(
        &spans,
        request,
        &[
            "auth",
            "access",
            "metadata",
            "first_byte",
            "scan",
            "encode",
            "audit",
        ],
    )?;
    let failed = requests
        .iter()
        .find(|span| span["trace_id"] != TRACE)
        .context("no span of the request without a trace")?;
    ensure!(failed["parent_span_id"] == "", "{failed}");
    ensure!(
        failed["attributes"]["flowlake.outcome"] == "s3.no_such_key",
        "{failed}"
    );
    assert_phases(&spans, failed, &["auth", "access", "metadata", "audit"])?;

    let mut outputs = Outputs::default();
    outputs.add("spans", serde_json::to_string(&spans)?);
    // Keys of objects are in the log and the audit record, and nowhere else.
    outputs.assert_free_of(&["2020-02-29"])?;
    outputs.add("log", server.process().output());
    outputs.assert_free_of(&[ani, Server::KEY])?;
    Ok(())
}

/// Checks that exemplars lead from the histograms to the trace, in the format that has them.
fn assert_exemplars(server: &Server) -> Result<()> {
    let accept = [("Accept", "application/openmetrics-text; version=1.0.0")];
    let metrics = request_with(
        &format!("{}/metrics", server.operators_url()),
        None,
        &accept,
        None,
    )?;
    ensure!(
        metrics
            .body
            .contains(&format!("# {{trace_id=\"{TRACE}\"}}"))
            && metrics.body.ends_with("# EOF\n"),
        "{}",
        metrics.body
    );
    ensure!(
        metrics
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/openmetrics-text")),
        "{:?}",
        metrics.headers
    );
    ensure!(!server.operators("/metrics")?.body.contains("trace_id"));
    Ok(())
}

/// Checks that a request has exactly these phases below it, each within its time.
fn assert_phases(spans: &[Value], request: &Value, expected: &[&str]) -> Result<()> {
    let below: BTreeMap<&str, &Value> = spans
        .iter()
        .filter(|span| span["parent_span_id"] == request["span_id"])
        .filter_map(|span| Some((span["name"].as_str()?, span)))
        .collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    ensure!(
        below.keys().copied().eq(expected),
        "phases {:?} of {request}",
        below.keys()
    );
    for (name, span) in below {
        ensure!(span["trace_id"] == request["trace_id"], "{name}: {span}");
        let time = |span: &Value, end: &str| span[end].as_u64().context("no time");
        ensure!(
            time(span, "start")? >= time(request, "start")?
                && time(span, "start")? <= time(span, "end")?,
            "{name} is not within its request: {span} {request}"
        );
        // The wait for the first byte is reported from the begin of the scan, and may end a little after it.
        ensure!(
            name == "first_byte" || time(span, "end")? <= time(request, "end")?,
            "{name} ends after its request: {span} {request}"
        );
    }
    Ok(())
}

#[test]
fn a_receiver_that_is_gone_costs_no_request() -> Result<()> {
    let setting = Setting::start("telemetry-gone", ROWS)?;
    // A port that nobody listens on, and one that takes connections and never answers.
    let [nobody] = free_ports()?;
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let silent_port = silent.local_addr()?.port();
    let project = setting.examples("reader", "")?;
    for port in [nobody, silent_port] {
        let config = project.folder().join("flowlake.toml");
        let text = std::fs::read_to_string(&config)?;
        let plain = text.split("[telemetry]").next().unwrap_or_default();
        std::fs::write(
            &config,
            format!(
                "{plain}[telemetry]\notlp_endpoint = \"http://127.0.0.1:{port}\"\nflush_timeout = \"1s\"\n"
            ),
        )?;
        let mut server = project.serve()?;
        for _ in 0..20 {
            let body = json!({ "queue": "Billing" });
            ensure!(ask(&server, "wrapup-codes", &body, None)? == 200);
        }
        let profile = server.operators("/v1/profiler")?.json()?;
        let slowest = profile["windows"]["since_start"]["duration"]["max_ms"].as_f64();
        ensure!(
            slowest.is_some_and(|slowest| slowest < 5_000.0),
            "{profile}"
        );
        let status = server.process().terminate(Duration::from_secs(10))?;
        ensure!(status.success(), "{status}: {}", server.process().output());
    }
    Ok(())
}
