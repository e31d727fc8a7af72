//! Comparing our rows with those of another engine.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// Relative difference that two sums of floating-point numbers in different orders may have.
const TOLERANCE: f64 = 1e-9;

/// Checks that both are the same rows with the same columns in the same order; numbers may differ by rounding.
///
/// # Errors
/// Names the first difference.
pub fn assert_same_rows(ours: &Value, expected: &Value) -> Result<()> {
    let (ours, expected) = (rows(ours)?, rows(expected)?);
    ensure!(
        ours.len() == expected.len(),
        "{} rows instead of {}",
        ours.len(),
        expected.len()
    );
    ensure!(
        !expected.is_empty(),
        "a comparison without rows shows nothing"
    );
    for (index, (our, their)) in ours.iter().zip(expected).enumerate() {
        let (our, their) = (object(our)?, object(their)?);
        ensure!(
            our.keys().eq(their.keys()),
            "row {index}: other columns: {our:?} instead of {their:?}"
        );
        for (column, theirs) in their {
            if !same(&our[column], theirs) {
                bail!("row {index}, {column}: {} instead of {theirs}", our[column]);
            }
        }
    }
    Ok(())
}

fn rows(value: &Value) -> Result<&Vec<Value>> {
    value
        .as_array()
        .with_context(|| format!("not an array of rows: {value}"))
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    value
        .as_object()
        .with_context(|| format!("not a row: {value}"))
}

fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()),
                _ => false,
            }
        }
        (Value::String(a), Value::String(b)) => a == b || same_time(a, b),
        _ => ours == theirs,
    }
}

/// Whether both are the same moment of UTC: some engines put a space between date and time, a zone or a fraction of zero behind it.
fn same_time(ours: &str, theirs: &str) -> bool {
    let plain = |text: &str| {
        let text = text
            .strip_suffix('Z')
            .or_else(|| text.strip_suffix("+00:00"))
            .unwrap_or(text);
        let text = text.replacen(' ', "T", 1);
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    };
    let is_time =
        |text: &str| text.len() >= 19 && text.as_bytes()[4] == b'-' && text.as_bytes()[13] == b':';
    is_time(ours) && is_time(theirs) && plain(ours) == plain(theirs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rounding_is_forgiven_and_nothing_else() {
        let same = |a, b| assert_same_rows(&json!([{ "x": a }]), &json!([{ "x": b }])).is_ok();
        assert!(same(json!(0.1 + 0.2), json!(0.3)));
        assert!(same(
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_993_i64)
        ));
        assert!(!same(
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_992_i64)
        ));
        assert!(!same(json!(1), json!("1")));
        assert!(!same(json!(null), json!(0)));
        assert!(same(
            json!("2026-01-01T00:00:03"),
            json!("2026-01-01 00:00:03")
        ));
    }

    #[test]
    fn columns_and_rows_have_to_be_the_same_ones() {
        assert!(assert_same_rows(&json!([{ "x": 1 }]), &json!([{ "y": 1 }])).is_err());
        assert!(assert_same_rows(&json!([{ "x": 1 }, { "x": 1 }]), &json!([{ "x": 1 }])).is_err());
        assert!(assert_same_rows(&json!([]), &json!([])).is_err());
    }
}
