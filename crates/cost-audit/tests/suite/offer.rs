//! AWS price list files, in small extracts of their form.

use flowlake_cost_audit::{Destination, ErrorKind, PriceTable, Usage};

const S3: &str = include_str!("../data/AmazonS3.json");
const TRANSFER: &str = include_str!("../data/AWSDataTransfer.json");
const GB: u64 = 1 << 30;

fn frankfurt(storage_class: &str, destination: Destination) -> Usage {
    Usage {
        region: "eu-central-1".to_owned(),
        storage_class: Some(storage_class.to_owned()),
        destination,
        get_requests: 1_000,
        list_requests: 1_000,
        bytes: GB,
        ..Usage::default()
    }
}

#[test]
fn both_lists_fill_a_region() {
    let (table, s3) = PriceTable::builtin().with_offer(S3).unwrap();
    let (table, transfer) = table.with_offer(TRANSFER).unwrap();
    assert_eq!(
        (s3.offer.as_str(), s3.figures["eu-central-1"]),
        ("AmazonS3", 8)
    );
    assert_eq!(
        (transfer.version.as_str(), transfer.figures["eu-central-1"]),
        ("20260916132208", 3)
    );
    let total = |class: &str, destination: Destination| {
        let usage = frankfurt(class, destination);
        table.estimate(&usage).unwrap().total_usd.to_string()
    };
    let ireland = || Destination::Region("eu-west-1".to_owned());
    assert_eq!(total("STANDARD", Destination::SameRegion), "0.00583");
    assert_eq!(total("STANDARD", Destination::Internet), "0.09583");
    assert_eq!(total("STANDARD", ireland()), "0.02583");
    assert_eq!(total("STANDARD_IA", Destination::SameRegion), "0.0164");
    assert_eq!(total("GLACIER_IR", Destination::SameRegion), "0.0454");
    let region = table.region("eu-central-1").unwrap();
    assert_eq!(
        region.requests["STANDARD"].source,
        "AmazonS3-20260928230416"
    );
    assert_eq!(
        table
            .source("AmazonS3-20260928230416")
            .unwrap()
            .taken
            .to_string(),
        "2026-09-28"
    );
    let ends: Vec<Option<u64>> = region
        .internet
        .as_ref()
        .unwrap()
        .tiers
        .iter()
        .map(|tier| tier.up_to_gb)
        .collect();
    assert_eq!(ends, [Some(10_240), Some(51_200), Some(153_600), None]);
    assert_eq!(PriceTable::from_json(&table.to_json()).unwrap(), table);
}

#[test]
fn what_is_no_price_list_is_refused() {
    let refused = |text: &str| {
        let error = PriceTable::builtin().with_offer(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidPrices);
        error.to_string()
    };
    refused("");
    refused("{}");
    assert!(refused(&S3.replace("\"AmazonS3\"", "\"AmazonEC2\"")).contains("AmazonEC2"));
    assert!(refused(&S3.replace("0.0000004300", "cheap")).contains("`cheap` is no number"));
    assert!(
        refused(&TRANSFER.replace("\"beginRange\": \"10240\"", "\"beginRange\": \"10241\""))
            .contains("does not join")
    );
    // The look-alike becomes a second price for the same usage.
    let twice = S3.replace("EUC1-Requests-Annotation-Tier2", "EUC1-Requests-Tier2");
    assert!(refused(&twice).contains("two prices for Requests-Tier2"));
}
