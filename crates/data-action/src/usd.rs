//! US dollars in configuration files: none below zero.

use flowlake_cost_audit::BudgetLimits;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de::Error};

/// An amount.
pub(crate) fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let amount = <Decimal as Deserialize>::deserialize(deserializer)?;
    match is_below_zero(amount) {
        true => Err(D::Error::custom("an amount of US dollars is 0 or more")),
        false => Ok(amount),
    }
}

/// An amount that may be left out.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Decimal>, D::Error> {
    amount(deserializer).map(Some)
}

/// The key of a budget that is below zero.
pub(crate) fn below_zero(limits: &BudgetLimits) -> Option<&'static str> {
    let amounts = [
        ("daily_usd", limits.daily_usd),
        ("monthly_usd", limits.monthly_usd),
    ];
    let mut below = amounts.iter();
    let below = below.find(|(_, usd)| usd.is_some_and(is_below_zero));
    below.map(|(key, _)| *key)
}

fn is_below_zero(amount: Decimal) -> bool {
    amount.is_sign_negative() && !amount.is_zero()
}
