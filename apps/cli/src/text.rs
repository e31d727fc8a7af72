//! The parts of an answer that are not rows, as lines for people.

use flowlake_cost_audit::Cost;
use flowlake_data_action::{Answer, CostTracking};

/// One line: rows, bytes, time, cost, audit id.
pub(crate) fn summary(answer: &Answer) -> String {
    format!(
        "{} rows, {}, {:.1} ms, {}, audit {}",
        answer.row_count,
        moved(&answer.cost_tracking),
        answer.duration_ms,
        usd(answer.cost_tracking.metered.as_ref()),
        answer.audit_log.id
    )
}

/// Where the bytes came from.
fn moved(cost: &CostTracking) -> String {
    let from_s3 = format!("{} from S3", bytes(cost.bytes));
    match cost.bytes_from_disk {
        0 => from_s3,
        kept => format!("{from_s3}, {} from the disk", bytes(kept)),
    }
}

/// Metadata, cost, audit record and profile, a paragraph each.
pub(crate) fn report(answer: &Answer) -> String {
    let mut lines = Vec::new();
    for read in &answer.metadata {
        let object = &read.object;
        lines.push(format!(
            "metadata  {read} · {} · etag {} · modified {}",
            bytes(object.size),
            object.etag.as_deref().unwrap_or("none"),
            object.last_modified.format("%Y-%m-%d %H:%M:%SZ"),
        ));
    }
    let cost = &answer.cost_tracking;
    lines.push(format!(
        "cost      {} for {} (estimated before: {})",
        usd(cost.metered.as_ref()),
        moved(cost),
        usd(cost.estimate.as_ref()),
    ));
    if let Some(metered) = &cost.metered {
        for line in &metered.lines {
            lines.push(format!(
                "          {}: {} {} at {} USD (prices of {})",
                line.item,
                line.quantity.normalize(),
                line.unit,
                line.unit_price_usd.normalize(),
                metered.prices_as_of
            ));
        }
    }
    let record = &answer.audit_log;
    lines.push(format!(
        "audit     #{} {} · {} · {} by {} · {} · sha256 {}…",
        answer.audit.sequence,
        record.id,
        record.compliance_tag,
        record.decision.as_deref().unwrap_or("no decision"),
        record.principal.as_deref().unwrap_or("nobody"),
        record.code,
        answer.audit.hash.get(..16).unwrap_or_default()
    ));
    for (name, value) in &record.params {
        lines.push(format!("          {name} = {value}"));
    }
    let profile = answer.profiler_snapshot.snapshot();
    lines.push(format!(
        "profile   {:.1} ms this request · {} requests, {:.1} ms on average, {:.0} % errors, {} in total",
        answer.duration_ms,
        profile.total_requests,
        profile.avg_duration_ms,
        profile.error_rate * 100.0,
        bytes(profile.total_bytes)
    ));
    lines.join("\n")
}

/// An amount in US dollars; the price table does not know every region.
fn usd(cost: Option<&Cost>) -> String {
    cost.map_or_else(
        || "no price known".to_owned(),
        |cost| format!("{} USD", cost.total_usd.normalize()),
    )
}

/// A number of bytes in the unit that fits, powers of 1,000.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut tenths = u128::from(count) * 10 / 1000;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_take_the_unit_that_fits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(123_456_789), "123.4 MB");
        assert_eq!(bytes(1_190_000_000), "1.1 GB");
        assert_eq!(bytes(u64::MAX), "18446.7 PB");
    }
}
