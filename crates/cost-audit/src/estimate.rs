//! The price of a read, before it from a plan or after it from the meter.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::prices::{PriceTable, RegionPrices};

/// AWS counts a GB of transfer and retrieval as 2^30 bytes.
const BYTES_PER_GB: u64 = 1 << 30;

/// Decimal places of a line: a millionth of a millionth of a dollar.
const PLACES: u32 = 12;

/// Where the bytes go, as seen from the bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// Out of AWS: tiered transfer prices.
    Internet,
    /// Another AWS region, by name.
    Region(String),
    /// The bucket's own region: transfer is free.
    #[default]
    SameRegion,
}

impl Destination {
    /// Reads `internet`, `same-region` or the name of a region.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSetting`] when the text is none of them.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "internet" => Ok(Self::Internet),
            "same-region" => Ok(Self::SameRegion),
            region if region.split('-').count() >= 3 && !region.contains(char::is_whitespace) => {
                Ok(Self::Region(region.to_owned()))
            }
            other => Err(Error::new(
                ErrorKind::InvalidSetting,
                format!(
                    "`{other}` is no destination, use `internet`, `same-region` or a region such as `eu-west-1`"
                ),
            )),
        }
    }
}

/// What is read: from a plan before, or from the meter after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// The bucket's region.
    pub region: String,
    /// The objects' storage class; none is `STANDARD`.
    pub storage_class: Option<String>,
    /// Where the bytes go.
    pub destination: Destination,
    /// `GetObject` requests.
    pub get_requests: u64,
    /// `HeadObject` and all other requests of AWS's second tier.
    pub head_requests: u64,
    /// `ListObjects` requests, billed at `STANDARD`'s first tier in every class.
    pub list_requests: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes already sent to the internet this month, so that the right tier applies.
    pub month_to_date_bytes: u64,
    /// Whether the account's free monthly allowance of internet transfer still applies.
    pub free_allowance: bool,
}

/// A cost with the lines it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The sum of the lines.
    pub total_usd: Decimal,
    /// One line per item and tier.
    pub lines: Vec<CostLine>,
    /// The date of the prices.
    pub prices_as_of: NaiveDate,
}

/// One item of a [`Cost`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostLine {
    /// What is paid for, such as `GET requests`.
    pub item: String,
    /// How much of it, in `unit`.
    pub quantity: Decimal,
    /// `requests` or `GB` (2^30 bytes).
    pub unit: String,
    /// The price of one unit.
    pub unit_price_usd: Decimal,
    /// What the line costs.
    pub usd: Decimal,
}

impl PriceTable {
    /// What `usage` costs, by this table.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownPrice`] when the table has no figure for something that is used; nothing is guessed.
    pub fn estimate(&self, usage: &Usage) -> Result<Cost, Error> {
        let region = self.region(&usage.region)?;
        let class = usage.storage_class.as_deref().unwrap_or("STANDARD");
        let mut lines = Vec::new();
        requests(&mut lines, region, usage, class)?;
        if usage.bytes > 0 {
            retrieval(&mut lines, region, usage, class)?;
            self.transfer(&mut lines, region, usage)?;
        }
        Ok(Cost {
            total_usd: lines
                .iter()
                .map(|line| line.usd)
                .sum::<Decimal>()
                .normalize(),
            lines,
            prices_as_of: self.as_of(),
        })
    }

    fn transfer(
        &self,
        lines: &mut Vec<CostLine>,
        region: &RegionPrices,
        usage: &Usage,
    ) -> Result<(), Error> {
        match &usage.destination {
            Destination::SameRegion => {
                lines.push(gigabytes(
                    "transfer within the region",
                    usage.bytes,
                    Decimal::ZERO,
                ));
            }
            Destination::Region(to) if *to == usage.region => {
                lines.push(gigabytes(
                    "transfer within the region",
                    usage.bytes,
                    Decimal::ZERO,
                ));
            }
            Destination::Region(to) => {
                let price = region
                    .to_region
                    .get(to)
                    .or(region.to_other_regions.as_ref())
                    .ok_or_else(|| unknown(&usage.region, &format!("transfer to {to}")))?;
                lines.push(gigabytes(
                    &format!("transfer to {to}"),
                    usage.bytes,
                    price.usd_per_gb,
                ));
            }
            Destination::Internet => self.internet(lines, region, usage)?,
        }
        Ok(())
    }

    fn internet(
        &self,
        lines: &mut Vec<CostLine>,
        region: &RegionPrices,
        usage: &Usage,
    ) -> Result<(), Error> {
        let prices = region
            .internet
            .as_ref()
            .ok_or_else(|| unknown(&usage.region, "transfer to the internet"))?;
        let mut left = usage.bytes;
        // What the tiers have already seen; the free allowance lies before the first tier.
        let mut position = usage.month_to_date_bytes;
        if usage.free_allowance {
            let free = self.free_internet_gb().saturating_mul(BYTES_PER_GB);
            let taken = left.min(free.saturating_sub(position));
            if taken > 0 {
                lines.push(gigabytes(
                    "free transfer to the internet",
                    taken,
                    Decimal::ZERO,
                ));
                left -= taken;
            }
            position = (position + taken).saturating_sub(free);
        }
        for tier in &prices.tiers {
            let end = tier
                .up_to_gb
                .map_or(u64::MAX, |gb| gb.saturating_mul(BYTES_PER_GB));
            let taken = left.min(end.saturating_sub(position));
            if taken > 0 {
                lines.push(gigabytes(
                    "transfer to the internet",
                    taken,
                    tier.usd_per_gb,
                ));
                left -= taken;
                position += taken;
            }
        }
        if left > 0 {
            return Err(unknown(
                &usage.region,
                "transfer to the internet at this monthly volume",
            ));
        }
        Ok(())
    }
}

fn requests(
    lines: &mut Vec<CostLine>,
    region: &RegionPrices,
    usage: &Usage,
    class: &str,
) -> Result<(), Error> {
    let asked = [
        ("GET requests", usage.get_requests, class),
        ("HEAD and other requests", usage.head_requests, class),
        // AWS bills LIST at the rate of STANDARD, whatever the class of the objects.
        ("LIST requests", usage.list_requests, "STANDARD"),
    ];
    for (item, count, class) in asked {
        if count == 0 {
            continue;
        }
        let per_thousand = if item == "LIST requests" {
            let prices = region.requests.get(class);
            prices.map(|prices| prices.put_list_usd_per_1000)
        } else {
            region.get_usd_per_1000(class)
        };
        let per_thousand =
            per_thousand.ok_or_else(|| unknown(&usage.region, &format!("{class} requests")))?;
        let price = per_thousand / Decimal::ONE_THOUSAND;
        lines.push(CostLine {
            item: item.to_owned(),
            quantity: count.into(),
            unit: "requests".to_owned(),
            unit_price_usd: price.normalize(),
            usd: (price * Decimal::from(count)).round_dp(PLACES).normalize(),
        });
    }
    Ok(())
}

fn retrieval(
    lines: &mut Vec<CostLine>,
    region: &RegionPrices,
    usage: &Usage,
    class: &str,
) -> Result<(), Error> {
    // These classes have no retrieval charge.
    if matches!(
        class,
        "STANDARD" | "REDUCED_REDUNDANCY" | "INTELLIGENT_TIERING"
    ) {
        return Ok(());
    }
    let price = region
        .retrieval
        .get(class)
        .ok_or_else(|| unknown(&usage.region, &format!("{class} retrieval")))?;
    lines.push(gigabytes(
        &format!("{class} retrieval"),
        usage.bytes,
        price.usd_per_gb,
    ));
    Ok(())
}

fn gigabytes(item: &str, bytes: u64, usd_per_gb: Decimal) -> CostLine {
    let gb = Decimal::from(BYTES_PER_GB);
    CostLine {
        item: item.to_owned(),
        quantity: (Decimal::from(bytes) / gb).round_dp(PLACES).normalize(),
        unit: "GB".to_owned(),
        unit_price_usd: usd_per_gb.normalize(),
        // Multiplied before it is divided, so that the only rounding is the last place.
        usd: (Decimal::from(bytes) * usd_per_gb / gb)
            .round_dp(PLACES)
            .normalize(),
    }
}

fn unknown(region: &str, what: &str) -> Error {
    Error::new(
        ErrorKind::UnknownPrice,
        format!("no price for {what} in {region}, load an AWS price list or set an override"),
    )
}
