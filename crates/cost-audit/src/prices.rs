//! The price table: dated, with a source for each figure.

mod offer;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::usd::Usd;

pub use offer::OfferSummary;

/// The figures that come with the crate.
const BUILTIN: &str = include_str!("../data/prices.json");

/// Prices of reading from S3, by region.
///
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceTable(Arc<Document>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    as_of: NaiveDate,
    free_internet_gb_per_month: u64,
    sources: BTreeMap<String, Source>,
    regions: BTreeMap<String, RegionPrices>,
}

/// Where figures were taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The page or price list.
    pub url: String,
    /// The date of the figures.
    pub taken: NaiveDate,
    /// What was read there.
    #[serde(default)]
    pub note: String,
}

/// The prices of one region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegionPrices {
    /// Requests, by storage class.
    pub requests: BTreeMap<String, RequestPrices>,
    /// Requests of the second tier alone, by storage class: where the first tier's price is not known.
    ///
    /// Reading needs no more than this in any class but `STANDARD`, whose first tier is also that of LIST.
    pub get_requests: BTreeMap<String, GetPrice>,
    /// Retrieval, by storage class.
    pub retrieval: BTreeMap<String, UnitPrice>,
    /// Transfer to the internet.
    pub internet: Option<TransferPrices>,
    /// Transfer to a region that has a price of its own.
    pub to_region: BTreeMap<String, UnitPrice>,
    /// Transfer to every other region.
    pub to_other_regions: Option<UnitPrice>,
}

/// Key of the source of figures that name none: they were set by hand.
const SET_BY_HAND: &str = "configuration";

fn set_by_hand() -> String {
    SET_BY_HAND.to_owned()
}

/// Prices of 1,000 requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestPrices {
    /// PUT, COPY, POST and LIST.
    #[schemars(with = "Usd")]
    pub put_list_usd_per_1000: Decimal,
    /// GET, SELECT and all others.
    #[schemars(with = "Usd")]
    pub get_usd_per_1000: Decimal,
    /// Key into the table's sources; `configuration` when left out.
    #[serde(default = "set_by_hand")]
    pub source: String,
}

/// The price of 1,000 requests of the second tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetPrice {
    /// GET, SELECT and all others.
    #[schemars(with = "Usd")]
    pub get_usd_per_1000: Decimal,
    /// Key into the table's sources; `configuration` when left out.
    #[serde(default = "set_by_hand")]
    pub source: String,
}

/// A price of one GB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitPrice {
    /// USD for 2^30 bytes.
    #[schemars(with = "Usd")]
    pub usd_per_gb: Decimal,
    /// Key into the table's sources; `configuration` when left out.
    #[serde(default = "set_by_hand")]
    pub source: String,
}

/// Tiered prices of one GB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferPrices {
    /// From the first GB of the month upwards.
    pub tiers: Vec<Tier>,
    /// Key into the table's sources; `configuration` when left out.
    #[serde(default = "set_by_hand")]
    pub source: String,
}

/// One step of [`TransferPrices`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The month's volume this price ends at; none is without end.
    pub up_to_gb: Option<u64>,
    /// USD for 2^30 bytes.
    #[schemars(with = "Usd")]
    pub usd_per_gb: Decimal,
}

impl RegionPrices {
    /// USD for 1,000 GET requests of a storage class.
    pub(crate) fn get_usd_per_1000(&self, class: &str) -> Option<Decimal> {
        let alone = self.get_requests.get(class);
        alone.map(|price| price.get_usd_per_1000).or_else(|| {
            let pair = self.requests.get(class)?;
            Some(pair.get_usd_per_1000)
        })
    }

    /// The keys of the sources of every figure.
    fn sources(&self) -> impl Iterator<Item = &String> {
        let alone = self.get_requests.values().map(|price| &price.source);
        let requests = self.requests.values().map(|price| &price.source);
        let requests = requests.chain(alone);
        let internet = self.internet.iter().map(|prices| &prices.source);
        let gigabytes = self.retrieval.values().chain(self.to_region.values());
        let gigabytes = gigabytes.chain(&self.to_other_regions);
        requests
            .chain(internet)
            .chain(gigabytes.map(|price| &price.source))
    }
}

impl PriceTable {
    /// The table that comes with the crate.
    #[must_use]
    pub fn builtin() -> Self {
        Self::from_json(BUILTIN).expect("the table in the crate is read by a test")
    }

    /// Reads a table in the crate's own format, as written by [`PriceTable::to_json`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPrices`] naming the place that cannot be read.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let document: Document = serde_json::from_str(text).map_err(|error| {
            Error::new(ErrorKind::InvalidPrices, "cannot read the price table").with_source(error)
        })?;
        let table = Self(Arc::new(document));
        table.check()?;
        Ok(table)
    }

    /// The table as text, to keep it in a file.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&*self.0).expect("a table has only plain fields")
    }

    /// The date of the newest figures.
    #[must_use]
    pub fn as_of(&self) -> NaiveDate {
        self.0.as_of
    }

    /// How many GB a month an account may send to the internet for free.
    #[must_use]
    pub fn free_internet_gb(&self) -> u64 {
        self.0.free_internet_gb_per_month
    }

    /// Every region with its prices, in order of name.
    pub fn regions(&self) -> impl Iterator<Item = (&str, &RegionPrices)> {
        self.0
            .regions
            .iter()
            .map(|(name, prices)| (name.as_str(), prices))
    }

    /// Where the figures marked with `key` come from.
    #[must_use]
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.0.sources.get(key)
    }

    /// One region's prices.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownPrice`] when the table has none.
    pub fn region(&self, name: &str) -> Result<&RegionPrices, Error> {
        self.0.regions.get(name).ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownPrice,
                format!("no prices for region `{name}`, load an AWS price list or set an override"),
            )
        })
    }

    /// Puts `prices` over the table's own for one region: what is set there replaces what is here.
    #[must_use]
    pub fn with_override(mut self, region: &str, prices: RegionPrices) -> Self {
        let document = Arc::make_mut(&mut self.0);
        if prices.sources().any(|key| key == SET_BY_HAND) {
            let taken = document.as_of;
            let by_hand = || Source {
                url: "flowlake.toml".to_owned(),
                taken,
                note: "set in the configuration".to_owned(),
            };
            document
                .sources
                .entry(SET_BY_HAND.to_owned())
                .or_insert_with(by_hand);
        }
        let own = document.regions.entry(region.to_owned()).or_default();
        // A pair replaces a price of GET alone, which would otherwise go before it.
        own.get_requests
            .retain(|class, _| !prices.requests.contains_key(class));
        own.requests.extend(prices.requests);
        own.get_requests.extend(prices.get_requests);
        own.retrieval.extend(prices.retrieval);
        own.to_region.extend(prices.to_region);
        if prices.internet.is_some() {
            own.internet = prices.internet;
        }
        if prices.to_other_regions.is_some() {
            own.to_other_regions = prices.to_other_regions;
        }
        self
    }

    pub(crate) fn with_source(mut self, key: &str, source: Source) -> Self {
        let document = Arc::make_mut(&mut self.0);
        document.as_of = document.as_of.max(source.taken);
        document.sources.insert(key.to_owned(), source);
        self
    }

    fn check(&self) -> Result<(), Error> {
        for (name, region) in self.regions() {
            for key in region.sources() {
                if self.source(key).is_none() {
                    return Err(Error::new(
                        ErrorKind::InvalidPrices,
                        format!("region {name} names the source `{key}`, which is not listed"),
                    ));
                }
            }
            let ends: Vec<u64> = region
                .internet
                .iter()
                .flat_map(|prices| &prices.tiers)
                .map(|tier| tier.up_to_gb.unwrap_or(u64::MAX))
                .collect();
            if !ends.is_sorted() {
                return Err(Error::new(
                    ErrorKind::InvalidPrices,
                    format!("the transfer tiers of region {name} are not in order"),
                ));
            }
        }
        Ok(())
    }
}
