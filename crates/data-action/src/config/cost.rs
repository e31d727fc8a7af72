//! `[cost]`: what reads are priced with.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use flowlake_cost_audit::{Destination, PriceTable, RegionPrices};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{ActionError, ErrorCode};

/// `[cost]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CostSettings {
    /// Where the bytes go: `same-region` (flowlake runs beside the bucket), `internet`, or the name of another AWS region.
    pub destination: String,
    /// Whether the account's free monthly allowance of transfer to the internet is left to flowlake.
    pub free_allowance: bool,
    /// A table of prices in place of the one that comes with flowlake; `flowlake cost prices --from` makes it of AWS's price lists.
    pub prices: Option<PathBuf>,
    /// Single figures in place of the table's, by region, such as a price of a private agreement.
    pub overrides: BTreeMap<String, RegionPrices>,
    /// Where `flowlake cost report` keeps Cost Explorer's answers for six hours: each costs 0.01 USD.
    pub actuals_cache: PathBuf,
}

impl Default for CostSettings {
    fn default() -> Self {
        Self {
            destination: "same-region".to_owned(),
            free_allowance: false,
            prices: None,
            overrides: BTreeMap::new(),
            actuals_cache: PathBuf::from("cost-explorer-cache.json"),
        }
    }
}

impl CostSettings {
    /// Makes the paths relative to `folder` no longer.
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.prices = self.prices.take().map(|path| folder.join(path));
        self.actuals_cache = folder.join(&self.actuals_cache);
    }

    /// The table that `prices` names, or the built-in one; without the overrides.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when the file cannot be read or is no table.
    pub fn stored_prices(&self) -> Result<PriceTable, ActionError> {
        let Some(path) = &self.prices else {
            return Ok(PriceTable::builtin());
        };
        let invalid = |message: String| {
            ActionError::new(
                ErrorCode::ConfigInvalid,
                message,
                "Make it with `flowlake cost prices --from PRICE-LIST`, or leave `prices` out of [cost].",
            )
            .at_key(["cost", "prices"])
        };
        let text = fs::read_to_string(path).map_err(|error| {
            invalid(format!("cannot read {}: {error}", path.display())).with_source(error)
        })?;
        PriceTable::from_json(&text)
            .map_err(|error| invalid(format!("{}: {error}", path.display())).with_source(error))
    }

    /// The table that reads are priced with: the stored or built-in one, with the overrides on top.
    ///
    /// # Errors
    /// Those of [`CostSettings::stored_prices`].
    pub fn price_table(&self) -> Result<PriceTable, ActionError> {
        let table = self.stored_prices()?;
        Ok(self
            .overrides
            .iter()
            .fold(table, |table, (region, prices)| {
                table.with_override(region, prices.clone())
            }))
    }

    /// Where the bytes go.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when `destination` is neither `internet`, `same-region` nor a region.
    pub fn destination(&self) -> Result<Destination, ActionError> {
        let destination = Destination::parse(&self.destination);
        destination.map_err(|error| ActionError::from(error).at_key(["cost", "destination"]))
    }
}

#[cfg(test)]
mod tests {
    use flowlake_cost_audit::Usage;

    use crate::{Config, ErrorCode};

    #[test]
    fn prices_come_from_the_file_and_the_overrides() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flowlake.toml");
        std::fs::write(
            &path,
            "[cost]\nprices = \"prices.json\"\n[cost.overrides.eu-west-1.requests.STANDARD]\nput_list_usd_per_1000 = 1\nget_usd_per_1000 = \"0.25\"\n",
        )
        .unwrap();
        let (_, config) = Config::load(&path).unwrap();
        let error = config.cost.price_table().unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        assert!(error.advice().contains("cost prices --from"), "{error}");
        let stored = r#"{"as_of": "2026-11-01", "free_internet_gb_per_month": 100, "sources": {}, "regions": {}}"#;
        std::fs::write(folder.path().join("prices.json"), stored).unwrap();
        let table = config.cost.price_table().unwrap();
        let usage = Usage {
            region: "eu-west-1".to_owned(),
            get_requests: 4_000,
            ..Usage::default()
        };
        assert_eq!(table.estimate(&usage).unwrap().total_usd.to_string(), "1");
        assert_eq!(table.as_of().to_string(), "2026-11-01");
    }
}
