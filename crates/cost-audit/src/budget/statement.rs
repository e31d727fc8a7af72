//! What a server states of its spending, for the others that share its limits.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::spend::{Span, Sum};
use crate::error::BoxError;

/// The form of statements.
const VERSION: u32 = 1;

/// A statement, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Statement {
    version: u32,
    /// The id of the server's audit log.
    pub(super) log_id: String,
    /// The server's name.
    node: Option<String>,
    written_at: DateTime<Utc>,
    sums: Vec<StatedSum>,
}

/// The most that a server spends in a period before it writes another statement.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatedSum {
    /// The action; none is all together.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    span: Span,
    first: NaiveDate,
    usd: Decimal,
}

impl Statement {
    pub(super) fn new(
        (log_id, node): &(String, Option<String>),
        written_at: DateTime<Utc>,
        sums: &BTreeMap<Sum, Decimal>,
    ) -> Self {
        let sums = sums.iter().map(|(sum, usd)| StatedSum {
            action: sum.action.clone(),
            span: sum.span,
            first: sum.first,
            usd: *usd,
        });
        Self {
            version: VERSION,
            log_id: log_id.clone(),
            node: node.clone(),
            written_at,
            sums: sums.collect(),
        }
    }

    /// A statement of another form is an error: what it says must not be missed.
    pub(super) fn parse(text: &[u8]) -> Result<Self, BoxError> {
        let statement: Self = serde_json::from_slice(text)?;
        if statement.version != VERSION {
            return Err(format!("version {} is not known", statement.version).into());
        }
        if statement.sums.iter().any(|sum| sum.usd.is_sign_negative()) {
            return Err("an amount is below zero".into());
        }
        Ok(statement)
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, BoxError> {
        Ok(serde_json::to_vec(self)?)
    }

    pub(super) fn sums(self) -> impl Iterator<Item = (Sum, Decimal)> {
        self.sums.into_iter().map(|stated| {
            let sum = Sum::of(stated.action.as_deref(), stated.span, stated.first);
            (sum, stated.usd)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Statement;

    #[test]
    fn what_is_no_statement_of_this_form_is_an_error() {
        let text = |version: u32, usd: &str| {
            format!(
                r#"{{"version":{version},"log_id":"l","node":null,"written_at":"2026-11-30T00:00:00Z","sums":[{{"span":"day","first":"2026-11-30","usd":"{usd}"}}]}}"#
            )
        };
        let parsed =
            |text: &str| Statement::parse(text.as_bytes()).map(|stated| stated.sums().count());
        assert_eq!(parsed(&text(1, "0.5")).unwrap(), 1);
        for wrong in [&text(2, "0.5"), &text(1, "-0.5"), &text(1, "x"), "", "{}"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
