//! Cost Explorer's `GetCostAndUsage` from a table of days.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Days, Months, NaiveDate};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::call::Call;
use super::refusal::Refusal;

/// What each day cost, by service and usage type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CostTable {
    /// The rows, in any order.
    pub rows: Vec<CostRow>,
    /// How many periods a page holds; left out, everything comes at once.
    pub periods_per_page: Option<usize>,
}

/// What one usage cost on one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostRow {
    /// The day.
    pub day: NaiveDate,
    /// The service, such as `Amazon Simple Storage Service`.
    pub service: String,
    /// The usage type, such as `EU-DataTransfer-Out-Bytes`.
    pub usage_type: String,
    /// Millionths of a dollar, so that sums are exact.
    pub micro_usd: i64,
    /// The quantity in millionths of its unit.
    pub micro_quantity: i64,
    /// The unit, such as `GB`.
    pub unit: String,
}

impl CostTable {
    /// A table of one service at the same price each day, for demos.
    #[must_use]
    pub fn flat(service: &str, from: NaiveDate, days: u64, micro_usd_a_day: i64) -> Self {
        let rows = (0..days)
            .filter_map(|day| from.checked_add_days(Days::new(day)))
            .map(|day| CostRow {
                day,
                service: service.to_owned(),
                usage_type: "DataTransfer-Out-Bytes".to_owned(),
                micro_usd: micro_usd_a_day,
                micro_quantity: 1_000_000,
                unit: "GB".to_owned(),
            })
            .collect();
        Self {
            rows,
            periods_per_page: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Input {
    time_period: Period,
    granularity: Option<String>,
    metrics: Vec<String>,
    #[serde(default)]
    group_by: Vec<Grouping>,
    filter: Option<Value>,
    next_page_token: Option<String>,
    #[serde(default)]
    billing_view_arn: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Period {
    start: String,
    end: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Grouping {
    r#type: String,
    key: String,
}

/// Answers `GetCostAndUsage`.
pub(crate) fn get_cost_and_usage(
    call: &Call<'_>,
    table: &CostTable,
    body: &[u8],
) -> Result<String, Refusal> {
    let input: Input = serde_json::from_slice(body).map_err(|error| invalid(&error.to_string()))?;
    call.require("ce:GetCostAndUsage", "*")?;
    let _ = &input.billing_view_arn;
    let start = day(&input.time_period.start)?;
    let end = day(&input.time_period.end)?;
    if start >= end {
        return Err(invalid("Start time is not before the end time"));
    }
    check(&input)?;
    let granularity = input.granularity.as_deref().unwrap_or("MONTHLY");
    let all = periods(start, end, granularity)?;
    let from: usize = match &input.next_page_token {
        None => 0,
        Some(token) => token.parse().map_err(|_| {
            Refusal::new(
                400,
                "InvalidNextTokenException",
                "the token is not one of ours",
            )
        })?,
    };
    let to = table
        .periods_per_page
        .map_or(all.len(), |size| (from + size.max(1)).min(all.len()));
    let results: Vec<Value> = all
        .get(from..to)
        .unwrap_or_default()
        .iter()
        .map(|(start, end)| row(table, &input, *start, *end))
        .collect::<Result<_, _>>()?;
    let mut answer = json!({
        "ResultsByTime": results,
        "DimensionValueAttributes": [],
    });
    if !input.group_by.is_empty() {
        answer["GroupDefinitions"] = input
            .group_by
            .iter()
            .map(|group| json!({ "Type": group.r#type, "Key": group.key }))
            .collect();
    }
    if to < all.len() {
        answer["NextPageToken"] = Value::String(to.to_string());
    }
    Ok(answer.to_string())
}

fn invalid(message: &str) -> Refusal {
    Refusal::new(400, "ValidationException", message)
}

fn day(text: &str) -> Result<NaiveDate, Refusal> {
    text.parse()
        .map_err(|_| invalid(&format!("Invalid date {text}, use yyyy-MM-dd")))
}

fn check(input: &Input) -> Result<(), Refusal> {
    const METRICS: [&str; 7] = [
        "AmortizedCost",
        "BlendedCost",
        "NetAmortizedCost",
        "NetUnblendedCost",
        "NormalizedUsageAmount",
        "UnblendedCost",
        "UsageQuantity",
    ];
    if input.metrics.is_empty() {
        return Err(invalid("At least one metric is needed"));
    }
    if let Some(wrong) = input
        .metrics
        .iter()
        .find(|metric| !METRICS.contains(&metric.as_str()))
    {
        return Err(invalid(&format!("{wrong} is not a metric")));
    }
    if input.group_by.len() > 2 {
        return Err(invalid("At most two groups are possible"));
    }
    for group in &input.group_by {
        if group.r#type != "DIMENSION" || !["SERVICE", "USAGE_TYPE"].contains(&group.key.as_str()) {
            return Err(invalid(&format!(
                "grouping by {} {} is not among what this stand-in knows",
                group.r#type, group.key
            )));
        }
    }
    Ok(())
}

/// The periods from start to end, the first and the last cut short where they must be.
fn periods(
    start: NaiveDate,
    end: NaiveDate,
    granularity: &str,
) -> Result<Vec<(NaiveDate, NaiveDate)>, Refusal> {
    let mut all = Vec::new();
    let mut from = start;
    while from < end {
        let next = match granularity {
            "DAILY" => from.checked_add_days(Days::new(1)),
            "MONTHLY" => from
                .with_day(1)
                .and_then(|first| first.checked_add_months(Months::new(1))),
            other => {
                return Err(invalid(&format!(
                    "{other} is not among what this stand-in knows"
                )));
            }
        };
        let to = next.unwrap_or(end).min(end);
        all.push((from, to));
        from = to;
    }
    Ok(all)
}

fn row(
    table: &CostTable,
    input: &Input,
    start: NaiveDate,
    end: NaiveDate,
) -> Result<Value, Refusal> {
    let mut rows = Vec::new();
    for row in &table.rows {
        if row.day >= start && row.day < end && passes(input.filter.as_ref(), row)? {
            rows.push(row);
        }
    }
    let mut answer = json!({
        "TimePeriod": { "Start": start.to_string(), "End": end.to_string() },
        "Total": {},
        "Groups": [],
        "Estimated": false,
    });
    if input.group_by.is_empty() {
        answer["Total"] = totals(&input.metrics, &rows);
        return Ok(answer);
    }
    let mut groups: BTreeMap<Vec<&str>, Vec<&CostRow>> = BTreeMap::new();
    for row in rows {
        let keys = input
            .group_by
            .iter()
            .map(|group| dimension(row, &group.key).unwrap_or_default())
            .collect();
        groups.entry(keys).or_default().push(row);
    }
    answer["Groups"] = groups
        .into_iter()
        .map(|(keys, rows)| json!({ "Keys": keys, "Metrics": totals(&input.metrics, &rows) }))
        .collect();
    Ok(answer)
}

fn totals(metrics: &[String], rows: &[&CostRow]) -> Value {
    let usd: i64 = rows.iter().map(|row| row.micro_usd).sum();
    let quantity: i64 = rows.iter().map(|row| row.micro_quantity).sum();
    let units: BTreeSet<&str> = rows.iter().map(|row| row.unit.as_str()).collect();
    metrics
        .iter()
        .map(|metric| {
            let value = if metric == "UsageQuantity" || metric == "NormalizedUsageAmount" {
                let mut units = units.iter();
                let unit = match (units.next(), units.next()) {
                    (Some(unit), None) => unit,
                    _ => "N/A",
                };
                json!({ "Amount": decimal(quantity), "Unit": unit })
            } else {
                json!({ "Amount": decimal(usd), "Unit": "USD" })
            };
            (metric.clone(), value)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn decimal(micro: i64) -> String {
    let sign = if micro < 0 { "-" } else { "" };
    let micro = micro.unsigned_abs();
    format!("{sign}{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

fn dimension<'a>(row: &'a CostRow, key: &str) -> Option<&'a str> {
    match key {
        "SERVICE" => Some(&row.service),
        "USAGE_TYPE" => Some(&row.usage_type),
        _ => None,
    }
}

/// `And`, `Or`, `Not` and `Dimensions` of the filter expression.
fn passes(filter: Option<&Value>, row: &CostRow) -> Result<bool, Refusal> {
    let Some(filter) = filter else {
        return Ok(true);
    };
    let unknown = || invalid("the filter has a form that this stand-in does not know");
    let (name, value) = filter
        .as_object()
        .filter(|object| object.len() == 1)
        .and_then(|object| object.iter().next())
        .ok_or_else(unknown)?;
    let all = |value: &Value| -> Result<Vec<bool>, Refusal> {
        value
            .as_array()
            .ok_or_else(unknown)?
            .iter()
            .map(|filter| passes(Some(filter), row))
            .collect()
    };
    match name.as_str() {
        "And" => Ok(all(value)?.into_iter().all(|passes| passes)),
        "Or" => Ok(all(value)?.into_iter().any(|passes| passes)),
        "Not" => Ok(!passes(Some(value), row)?),
        "Dimensions" => {
            let key = value["Key"].as_str().ok_or_else(unknown)?;
            let actual = dimension(row, key).ok_or_else(unknown)?;
            let values = value["Values"].as_array().ok_or_else(unknown)?;
            Ok(values.iter().any(|value| value.as_str() == Some(actual)))
        }
        _ => Err(unknown()),
    }
}
