//! `flowlake cost prices`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use flowlake_cost_audit::{PriceTable, RegionPrices};
use flowlake_data_action::{ActionError, Config, ErrorCode};
use rust_decimal::Decimal;

use super::arguments::Prices;
use crate::{
    failure::{Failure, unreadable},
    output,
};

pub(super) fn prices(config: &Path, arguments: &Prices) -> Result<(), Failure> {
    let (_, config) = Config::load(config)?;
    if !arguments.from.is_empty() {
        return take_over(&config, &arguments.from);
    }
    let table = config.cost.price_table()?;
    if let Some(region) = &arguments.region {
        table.region(region)?;
    }
    output::print(&if arguments.json {
        table.to_json() + "\n"
    } else {
        show(&table, arguments.region.as_deref())
    })?;
    Ok(())
}

/// Puts AWS's figures over those in use, and keeps the result where the configuration says.
fn take_over(config: &Config, lists: &[std::path::PathBuf]) -> Result<(), Failure> {
    let path = config.cost.prices.as_ref().ok_or_else(|| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            "[cost] in flowlake.toml does not say where prices are kept",
            "Add `prices = \"prices.json\"` to [cost], then try again.",
        )
    })?;
    let mut table = if path.exists() {
        config.cost.stored_prices()?
    } else {
        PriceTable::builtin()
    };
    let mut lines = String::new();
    for list in lists {
        let text = fs::read_to_string(list).map_err(|error| unreadable(list, &error))?;
        let (with_list, summary) = table.with_offer(&text)?;
        table = with_list;
        let figures: usize = summary.figures.values().sum();
        lines += &format!(
            "{} of {}: {figures} figures of {} regions\n",
            summary.offer,
            summary.published.date_naive(),
            summary.figures.len()
        );
    }
    write_whole(path, &table.to_json())?;
    output::print(&format!(
        "{lines}kept in {}; servers take them at their next start\n",
        path.display()
    ))?;
    Ok(())
}

/// Writes the file so that it is there whole or as it was before.
fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let draft = path.with_extension("tmp");
    let failed = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("cannot write {}: {error}", path.display()),
        )
    };
    let mut file = File::create(&draft).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(fs::rename(&draft, path).map_err(failed)?)
}

/// Every figure with its date and source.
fn show(table: &PriceTable, only: Option<&str>) -> String {
    let mut shown = Table::new();
    shown
        .load_preset(UTF8_FULL_CONDENSED)
        .set_header(["region", "what", "USD", "for", "source"]);
    let mut sources = std::collections::BTreeSet::new();
    for (name, prices) in table.regions() {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        for (what, usd, unit, source) in figures(prices) {
            shown.add_row([name, &what, &usd, unit, &source]);
            sources.insert(source);
        }
    }
    if let Some(column) = shown.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut lines = format!(
        "Prices as of {}; a GB is 2^30 bytes\n{shown}\n",
        table.as_of()
    );
    for key in sources {
        if let Some(source) = table.source(&key) {
            lines += &format!("{key}: {} ({}) {}\n", source.url, source.taken, source.note);
        }
    }
    lines
}

/// What, how much, for what, and from where.
fn figures(prices: &RegionPrices) -> Vec<(String, String, &'static str, String)> {
    let mut figures = Vec::new();
    let mut requests = |class: &str, kind: &str, usd: Decimal, source: &String| {
        let usd = usd.normalize().to_string();
        figures.push((
            format!("{class} {kind}"),
            usd,
            "1,000 requests",
            source.clone(),
        ));
    };
    for (class, price) in &prices.requests {
        requests(class, "GET, HEAD", price.get_usd_per_1000, &price.source);
        requests(
            class,
            "LIST, PUT",
            price.put_list_usd_per_1000,
            &price.source,
        );
    }
    for (class, price) in &prices.get_requests {
        requests(class, "GET, HEAD", price.get_usd_per_1000, &price.source);
    }
    let retrieval = prices
        .retrieval
        .iter()
        .map(|(class, price)| (format!("{class} retrieval"), price));
    let to_region = prices
        .to_region
        .iter()
        .map(|(region, price)| (format!("transfer to {region}"), price));
    let elsewhere = prices
        .to_other_regions
        .iter()
        .map(|price| ("transfer to other regions".to_owned(), price));
    for (what, price) in retrieval.chain(to_region).chain(elsewhere) {
        let usd = price.usd_per_gb.normalize().to_string();
        figures.push((what, usd, "GB", price.source.clone()));
    }
    if let Some(transfer) = &prices.internet {
        for tier in &transfer.tiers {
            let what = match tier.up_to_gb {
                Some(end) => format!("transfer to the internet, up to {end} GB a month"),
                None => "transfer to the internet, above".to_owned(),
            };
            let usd = tier.usd_per_gb.normalize().to_string();
            figures.push((what, usd, "GB", transfer.source.clone()));
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use flowlake_cost_audit::PriceTable;

    use super::show;

    const TABLE: &str = r#"{
        "as_of": "2026-11-01",
        "free_internet_gb_per_month": 100,
        "sources": {
            "list": { "url": "https://pricing.us-east-1.amazonaws.com/", "taken": "2026-11-01", "note": "AmazonS3" },
            "unused": { "url": "https://example.com/", "taken": "2025-01-01" }
        },
        "regions": {
            "eu-west-1": {
                "requests": { "STANDARD": { "put_list_usd_per_1000": "0.005", "get_usd_per_1000": "0.0004", "source": "list" } },
                "get_requests": { "GLACIER_IR": { "get_usd_per_1000": "0.010", "source": "list" } },
                "retrieval": { "GLACIER_IR": { "usd_per_gb": "0.03", "source": "list" } },
                "internet": { "tiers": [ { "up_to_gb": 10240, "usd_per_gb": "0.090" }, { "up_to_gb": null, "usd_per_gb": "0.05" } ], "source": "list" },
                "to_region": {},
                "to_other_regions": { "usd_per_gb": "0.02", "source": "list" }
            },
            "us-east-1": {}
        }
    }"#;

    #[test]
    fn every_figure_is_shown_with_its_date_and_source() {
        let table = PriceTable::from_json(TABLE).unwrap();
        insta::assert_snapshot!(show(&table, Some("eu-west-1")));
    }
}
