//! A cost report for people and for programs.

use chrono::SecondsFormat;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use flowlake_cost_audit::{ActualCosts, ActualsQuery, CostReport};
use flowlake_data_action::ActionError;
use rust_decimal::Decimal;
use serde_json::json;

/// Width of the longest bar.
const BAR: usize = 40;

/// What stands where AWS has said nothing: never a zero.
const UNKNOWN: &str = "unknown";

/// The whole report, with the reason when there are no actual costs.
pub(super) fn json(
    report: &CostReport,
    actuals: Option<&ActualCosts>,
    failed: Option<&ActionError>,
) -> String {
    let document = json!({
        "report": report,
        "actuals": actuals,
        "actuals_error": failed.map(ActionError::to_json),
    });
    format!("{document}\n")
}

/// Tables, bars, and where the figures come from.
pub(super) fn text(
    report: &CostReport,
    query: &ActualsQuery,
    actuals: Option<&ActualCosts>,
    failed: Option<&ActionError>,
) -> String {
    let mut parts = vec![
        format!(
            "Costs from {} until before {}, in USD; days are those of UTC",
            report.start, report.end
        ),
        periods(report),
    ];
    if !report.actions.is_empty() {
        let rows = report.actions.iter().map(|(name, action)| {
            [
                name.clone(),
                action.requests.to_string(),
                action.estimated_usd.to_string(),
            ]
        });
        parts.push(table(["action", "requests", "estimated"], rows));
    }
    if !report.actual_groups.is_empty() {
        let rows = report
            .actual_groups
            .iter()
            .map(|group| [group.keys.join(" · "), group.usd.to_string()]);
        parts.push(table(["actual, by", "actual"], rows));
    }
    parts.push(report.chart(BAR).trim_end().to_owned());
    parts.extend(remarks(report, query, actuals, failed));
    parts.join("\n") + "\n"
}

fn periods(report: &CostReport) -> String {
    let actual = |usd: Option<Decimal>, may_change: bool| match usd {
        Some(usd) if may_change => format!("{usd} *"),
        Some(usd) => usd.to_string(),
        None => UNKNOWN.to_owned(),
    };
    let requests: u64 = report.periods.iter().map(|period| period.requests).sum();
    let rows = report.periods.iter().map(|period| {
        [
            period.start.to_string(),
            period.requests.to_string(),
            period.estimated_usd.to_string(),
            actual(period.actual_usd, period.actual_may_change),
        ]
    });
    let sum = [
        "together".to_owned(),
        requests.to_string(),
        report.estimated_usd.to_string(),
        actual(report.actual_usd, report.actual_may_change),
    ];
    table(
        ["from", "requests", "estimated", "actual"],
        rows.chain([sum]),
    )
}

/// The first column to the left, figures to the right.
fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn remarks(
    report: &CostReport,
    query: &ActualsQuery,
    actuals: Option<&ActualCosts>,
    failed: Option<&ActionError>,
) -> Vec<String> {
    let mut remarks = Vec::new();
    if report.unpriced() > 0 {
        remarks.push(format!(
            "{} attempts could not be priced and are in no estimate",
            report.unpriced()
        ));
    }
    if let Some(actuals) = actuals {
        let what = match query.services.as_slice() {
            [] => "all services".to_owned(),
            services => services.join(", "),
        };
        remarks.push(format!(
            "actual: {what} in the whole account, as Cost Explorer said at {} ({} pages at 0.01 USD)",
            actuals.fetched_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            actuals.pages
        ));
    }
    if report.actual_may_change {
        remarks.push("* AWS calls this estimated: it may still change".to_owned());
    }
    if failed.is_some() {
        remarks.push("actual: not known, Cost Explorer gave no figures".to_owned());
    }
    remarks
}

#[cfg(test)]
mod tests {
    use flowlake_cost_audit::{
        ActualCosts, ActualGroup, ActualPeriod, ActualsQuery, CostReport, Granularity,
    };
    use flowlake_data_action::{ActionError, ErrorCode};

    use super::{json, text};

    fn query() -> ActualsQuery {
        ActualsQuery::s3("2026-11-21".parse().unwrap(), "2026-11-23".parse().unwrap())
    }

    fn actuals() -> ActualCosts {
        let period = |start: &str, end: &str, usd: &str, estimated| ActualPeriod {
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
            usd: usd.parse().unwrap(),
            estimated,
            groups: vec![ActualGroup {
                keys: vec!["Requests-Tier2".to_owned()],
                usd: usd.parse().unwrap(),
            }],
        };
        ActualCosts {
            total_usd: "1.3".parse().unwrap(),
            estimated: true,
            periods: vec![
                period("2026-11-21", "2026-11-22", "0.3", false),
                period("2026-11-22", "2026-11-23", "1", true),
            ],
            pages: 1,
            fetched_at: "2026-11-23T12:00:00Z".parse().unwrap(),
        }
    }

    fn report(actuals: Option<&ActualCosts>) -> CostReport {
        let query = query();
        let nothing = std::path::Path::new("there is no such folder");
        CostReport::new(
            nothing,
            (query.start, query.end),
            Granularity::Daily,
            actuals,
        )
        .unwrap()
    }

    #[test]
    fn a_report_shows_both_sides_and_what_may_change() {
        let actuals = actuals();
        let shown = text(&report(Some(&actuals)), &query(), Some(&actuals), None);
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn without_actual_costs_they_are_unknown_and_never_zero() {
        let error = ActionError::new(ErrorCode::CostUnavailable, "not allowed", "Allow it.");
        let shown = text(&report(None), &query(), None, Some(&error));
        insta::assert_snapshot!(shown);
        let document: serde_json::Value =
            serde_json::from_str(&json(&report(None), None, Some(&error))).unwrap();
        assert!(document["actuals"].is_null() && document["report"]["actual_usd"].is_null());
        assert_eq!(document["actuals_error"]["code"], "cost.unavailable");
    }
}
