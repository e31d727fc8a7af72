//! Reads AWS's own price lists: the JSON offer files of `AmazonS3` and `AWSDataTransfer`.
//!
//! Both are published at `https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/<offer>/current/index.json` and, smaller, per region.
//! Requests and retrieval are in the first, transfer is in the second; the transfer lines of the first are not the internet's.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{PriceTable, RegionPrices, RequestPrices, Source, Tier, TransferPrices, UnitPrice};
use crate::error::{Error, ErrorKind};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Offer {
    offer_code: String,
    version: String,
    publication_date: DateTime<Utc>,
    products: HashMap<String, Product>,
    terms: Terms,
}

#[derive(Debug, Deserialize)]
struct Product {
    sku: String,
    #[serde(default)]
    attributes: HashMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Terms {
    #[serde(rename = "OnDemand", default)]
    on_demand: HashMap<String, HashMap<String, Term>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term {
    price_dimensions: HashMap<String, Dimension>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dimension {
    begin_range: Option<String>,
    end_range: Option<String>,
    price_per_unit: HashMap<String, String>,
}

/// What a price list changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OfferSummary {
    /// `AmazonS3` or `AWSDataTransfer`.
    pub offer: String,
    /// The list's version.
    pub version: String,
    /// When AWS published it.
    pub published: DateTime<Utc>,
    /// How many figures were taken, by region.
    pub figures: BTreeMap<String, usize>,
}

/// One figure of a list, on its way into a region.
#[derive(Debug)]
enum Figure {
    PutList(&'static str, Decimal),
    Get(&'static str, Decimal),
    Retrieval(&'static str, Decimal),
    Internet(Vec<Tier>),
    ToRegion(String, Decimal),
}

/// Usage types of `AmazonS3` without the region's prefix, with the storage class they are for.
const CLASSES: [(&str, &str, &str, Option<&str>); 5] = [
    ("STANDARD", "Requests-Tier1", "Requests-Tier2", None),
    (
        "INTELLIGENT_TIERING",
        "Requests-INT-Tier1",
        "Requests-INT-Tier2",
        None,
    ),
    (
        "STANDARD_IA",
        "Requests-SIA-Tier1",
        "Requests-SIA-Tier2",
        Some("Retrieval-SIA"),
    ),
    (
        "ONEZONE_IA",
        "Requests-ZIA-Tier1",
        "Requests-ZIA-Tier2",
        Some("Retrieval-ZIA"),
    ),
    (
        "GLACIER_IR",
        "Requests-GIR-Tier1",
        "Requests-GIR-Tier2",
        Some("Retrieval-GIR"),
    ),
];

impl PriceTable {
    /// Puts the figures of an AWS price list over the table's own.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPrices`] when the text is no price list of `AmazonS3` or `AWSDataTransfer`, has no figure that is needed, or contradicts itself.
    pub fn with_offer(self, text: &str) -> Result<(Self, OfferSummary), Error> {
        let offer: Offer = serde_json::from_str(text).map_err(|error| {
            invalid(
                "cannot read the price list, give the index.json of AmazonS3 or AWSDataTransfer",
            )
            .with_source(error)
        })?;
        let found = offer.figures()?;
        if found.is_empty() {
            return Err(invalid(format!(
                "the price list {} has no figure for reading from S3, give that of AmazonS3 or AWSDataTransfer",
                offer.offer_code
            )));
        }
        let source = format!("{}-{}", offer.offer_code, offer.version);
        let mut table = self.with_source(&source, offer.source());
        let mut counts = BTreeMap::new();
        for (region, figures) in found {
            counts.insert(region.clone(), figures.len());
            let known = table.0.regions.get(&region).cloned().unwrap_or_default();
            let prices = region_prices(figures, &known, &source);
            table = table.with_override(&region, prices);
        }
        table.check()?;
        let summary = OfferSummary {
            offer: offer.offer_code,
            version: offer.version,
            published: offer.publication_date,
            figures: counts,
        };
        Ok((table, summary))
    }
}

impl Offer {
    fn source(&self) -> Source {
        Source {
            url: format!(
                "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/{}/{}/index.json",
                self.offer_code, self.version
            ),
            taken: self.publication_date.date_naive(),
            note: "loaded from a price list file".to_owned(),
        }
    }

    fn figures(&self) -> Result<BTreeMap<String, Vec<Figure>>, Error> {
        let mut products: Vec<&Product> = self.products.values().collect();
        products.sort_by(|a, b| a.sku.cmp(&b.sku));
        let mut found: BTreeMap<String, Vec<Figure>> = BTreeMap::new();
        // The price that a usage type had first, to notice two that differ.
        let mut seen: HashMap<(String, String), (Vec<Tier>, String)> = HashMap::new();
        for product in products {
            let Some((region, name, make)) = self.wanted(product) else {
                continue;
            };
            let Some(tiers) = self.price(product)? else {
                continue;
            };
            let key = (region.clone(), name);
            if let Some((earlier, sku)) = seen.get(&key) {
                if *earlier != tiers {
                    return Err(invalid(format!(
                        "{} and {} give two prices for {} in {region}",
                        sku, product.sku, key.1
                    )));
                }
                continue;
            }
            let figure = make(&tiers).ok_or_else(|| {
                invalid(format!(
                    "{} has tiers where one price is expected",
                    product.sku
                ))
            })?;
            found.entry(region).or_default().push(figure);
            seen.insert(key, (tiers, product.sku.clone()));
        }
        Ok(found)
    }

    /// The region and name of a figure we want, and how to make it from its price.
    #[expect(clippy::type_complexity, reason = "used once, right above")]
    fn wanted(
        &self,
        product: &Product,
    ) -> Option<(String, String, Box<dyn Fn(&[Tier]) -> Option<Figure>>)> {
        let get = |name: &str| {
            product
                .attributes
                .get(name)
                .map(String::as_str)
                .unwrap_or_default()
        };
        let usage_type = get("usagetype");
        match self.offer_code.as_str() {
            "AmazonS3" => {
                if !get("operation").is_empty() && get("group").is_empty() {
                    return None;
                }
                let region = get("regionCode").to_owned();
                if region.is_empty() {
                    return None;
                }
                for (class, put, read, retrieval) in CLASSES {
                    if is_usage(usage_type, put) {
                        let make = move |tiers: &[Tier]| {
                            flat(tiers)
                                .map(|usd| Figure::PutList(class, usd * Decimal::ONE_THOUSAND))
                        };
                        return Some((region, put.to_owned(), Box::new(make)));
                    }
                    if is_usage(usage_type, read) {
                        let make = move |tiers: &[Tier]| {
                            flat(tiers).map(|usd| Figure::Get(class, usd * Decimal::ONE_THOUSAND))
                        };
                        return Some((region, read.to_owned(), Box::new(make)));
                    }
                    if let Some(retrieval) =
                        retrieval.filter(|retrieval| is_usage(usage_type, retrieval))
                    {
                        let make = move |tiers: &[Tier]| {
                            flat(tiers).map(|usd| Figure::Retrieval(class, usd))
                        };
                        return Some((region, retrieval.to_owned(), Box::new(make)));
                    }
                }
                None
            }
            "AWSDataTransfer" => {
                let region = get("fromRegionCode").to_owned();
                let to = get("toRegionCode").to_owned();
                if region.is_empty() {
                    return None;
                }
                match get("transferType") {
                    "AWS Outbound"
                        if get("toLocation") == "External"
                            && is_usage(usage_type, "DataTransfer-Out-Bytes") =>
                    {
                        let make = |tiers: &[Tier]| Some(Figure::Internet(tiers.to_vec()));
                        Some((region, "internet".to_owned(), Box::new(make)))
                    }
                    "InterRegion Outbound"
                        if !to.is_empty() && usage_type.ends_with("-AWS-Out-Bytes") =>
                    {
                        let name = to.clone();
                        let make = move |tiers: &[Tier]| {
                            flat(tiers).map(|usd| Figure::ToRegion(to.clone(), usd))
                        };
                        Some((region, name, Box::new(make)))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The tiers of a product's price in USD, lowest first; none when it has no such price.
    fn price(&self, product: &Product) -> Result<Option<Vec<Tier>>, Error> {
        let Some(terms) = self.terms.on_demand.get(&product.sku) else {
            return Ok(None);
        };
        let mut steps = Vec::new();
        for dimension in terms
            .values()
            .flat_map(|term| term.price_dimensions.values())
        {
            let Some(usd) = dimension.price_per_unit.get("USD") else {
                return Ok(None);
            };
            let wrong = |what: &str, text: &str| {
                invalid(format!("{}: {what} `{text}` is no number", product.sku))
            };
            let usd_per_gb: Decimal = usd.parse().map_err(|_| wrong("price", usd))?;
            let number = |text: &Option<String>| match text.as_deref() {
                None | Some("Inf") => Ok(None),
                Some(text) => text
                    .parse::<u64>()
                    .map(Some)
                    .map_err(|_| wrong("range", text)),
            };
            let begin = number(&dimension.begin_range)?.unwrap_or(0);
            let tier = Tier {
                up_to_gb: number(&dimension.end_range)?,
                usd_per_gb: usd_per_gb.normalize(),
            };
            steps.push((begin, tier));
        }
        steps.sort_by_key(|(begin, _)| *begin);
        let mut expected = 0;
        for (begin, tier) in &steps {
            if *begin != expected {
                return Err(invalid(format!(
                    "{}: the tier from {begin} does not join the one before it",
                    product.sku
                )));
            }
            expected = tier.up_to_gb.unwrap_or(u64::MAX);
        }
        Ok(Some(steps.into_iter().map(|(_, tier)| tier).collect()))
    }
}

fn region_prices(figures: Vec<Figure>, known: &RegionPrices, source: &str) -> RegionPrices {
    let mut prices = RegionPrices::default();
    let mut requests: BTreeMap<&str, (Option<Decimal>, Option<Decimal>)> = BTreeMap::new();
    let unit = |usd_per_gb: Decimal| UnitPrice {
        usd_per_gb: usd_per_gb.normalize(),
        source: source.to_owned(),
    };
    for figure in figures {
        match figure {
            Figure::PutList(class, usd) => requests.entry(class).or_default().0 = Some(usd),
            Figure::Get(class, usd) => requests.entry(class).or_default().1 = Some(usd),
            Figure::Retrieval(class, usd) => {
                drop(prices.retrieval.insert(class.to_owned(), unit(usd)))
            }
            Figure::ToRegion(to, usd) => drop(prices.to_region.insert(to, unit(usd))),
            Figure::Internet(tiers) => {
                prices.internet = Some(TransferPrices {
                    tiers,
                    source: source.to_owned(),
                });
            }
        }
    }
    for (class, (put_list, get)) in requests {
        let old = known.requests.get(class);
        let put_list = put_list.or(old.map(|old| old.put_list_usd_per_1000));
        let get = get.or(old.map(|old| old.get_usd_per_1000));
        // Half a pair would be half a guess.
        if let (Some(put_list), Some(get)) = (put_list, get) {
            let pair = RequestPrices {
                put_list_usd_per_1000: put_list.normalize(),
                get_usd_per_1000: get.normalize(),
                source: source.to_owned(),
            };
            prices.requests.insert(class.to_owned(), pair);
        }
    }
    prices
}

/// Whether `usage_type` is `name`, bare or after one region prefix such as `EUC1-`.
fn is_usage(usage_type: &str, name: &str) -> bool {
    match usage_type.strip_suffix(name) {
        Some("") => true,
        Some(prefix) => prefix
            .strip_suffix('-')
            .is_some_and(|region| !region.is_empty() && region.chars().all(char::is_alphanumeric)),
        None => false,
    }
}

fn flat(tiers: &[Tier]) -> Option<Decimal> {
    match tiers {
        [only] => Some(only.usd_per_gb),
        [first, rest @ ..] if rest.iter().all(|tier| tier.usd_per_gb == first.usd_per_gb) => {
            Some(first.usd_per_gb)
        }
        _ => None,
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidPrices, message)
}
