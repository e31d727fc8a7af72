//! US dollars in configuration files: none below zero.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de::Error};

/// An amount.
pub(crate) fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let amount = <Decimal as Deserialize>::deserialize(deserializer)?;
    match amount.is_sign_negative() && !amount.is_zero() {
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
