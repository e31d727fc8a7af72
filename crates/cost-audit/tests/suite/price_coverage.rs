//! What the built-in price table has for each region, and what it lacks.

use flowlake_cost_audit::{PriceTable, RegionPrices};

/// The commercial regions that have S3, as of botocore 1.44.5.
const REGIONS: [&str; 34] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// The regions whose transfer from and to other regions has no price, but that from N. Virginia.
const NO_REGION_TO_REGION: [&str; 9] = [
    "ap-east-2",
    "ap-south-2",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "il-central-1",
    "mx-central-1",
];

/// The regions whose table `has` not.
fn without(has: impl Fn(&RegionPrices) -> bool) -> Vec<&'static str> {
    let table = PriceTable::builtin();
    let lacks = |region: &&str| !has(table.region(region).expect("every region is in the table"));
    REGIONS.into_iter().filter(lacks).collect()
}

#[test]
fn every_region_has_what_reading_within_it_costs() {
    let nowhere: [&str; 0] = [];
    assert_eq!(
        without(|prices| prices.requests.contains_key("STANDARD")),
        nowhere
    );
    for class in [
        "STANDARD_IA",
        "ONEZONE_IA",
        "GLACIER_IR",
        "INTELLIGENT_TIERING",
    ] {
        let gets = |prices: &RegionPrices| {
            prices.requests.contains_key(class) || prices.get_requests.contains_key(class)
        };
        assert_eq!(without(gets), nowhere, "{class}");
        let retrieves = |prices: &RegionPrices| prices.retrieval.contains_key(class);
        let expected = if class == "INTELLIGENT_TIERING" {
            34
        } else {
            0
        };
        assert_eq!(without(retrieves).len(), expected, "{class}");
    }
    let table = PriceTable::builtin();
    let unknown = table.regions().find(|(name, _)| !REGIONS.contains(name));
    assert!(unknown.is_none(), "{unknown:?}");
}

/// What README.md says is not known. A figure that is found leaves its list.
#[test]
fn what_the_table_lacks_is_listed() {
    // PUT of other classes than STANDARD, which no read needs.
    assert_eq!(
        without(|prices| prices.requests.contains_key("STANDARD_IA")),
        [
            "ap-southeast-4",
            "ap-southeast-6",
            "ca-west-1",
            "eu-west-1",
            "me-south-1",
            "mx-central-1",
            "us-west-1",
        ]
    );
    for class in ["ONEZONE_IA", "GLACIER_IR", "INTELLIGENT_TIERING"] {
        let others = without(|prices| prices.requests.contains_key(class));
        let expected = REGIONS.into_iter().filter(|region| *region != "us-east-1");
        assert_eq!(others, expected.collect::<Vec<_>>(), "{class}");
    }
    assert_eq!(
        without(|prices| prices.internet.is_some()),
        ["ap-southeast-6", "mx-central-1"]
    );
    // Only up to 50 TB a month.
    let ends = |prices: &RegionPrices| match &prices.internet {
        Some(internet) => internet.tiers.last().unwrap().up_to_gb.is_none(),
        None => true,
    };
    assert_eq!(without(ends), ["ap-east-2"]);
    assert_eq!(
        without(|prices| !prices.to_region.is_empty()),
        NO_REGION_TO_REGION
    );
    let table = PriceTable::builtin();
    for (name, prices) in table.regions() {
        if NO_REGION_TO_REGION.contains(&name) || prices.to_other_regions.is_some() {
            continue;
        }
        let known = |other: &&str| *other == name || prices.to_region.contains_key(*other);
        let unknown: Vec<&str> = REGIONS.into_iter().filter(|other| !known(other)).collect();
        let mut expected = NO_REGION_TO_REGION.to_vec();
        if name == "ap-southeast-3" {
            expected.extend(["ap-northeast-3", "sa-east-1"]);
            expected.sort_unstable();
        }
        assert_eq!(unknown, expected, "{name}");
    }
}
