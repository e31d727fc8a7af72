//! The estimate against sums that others published or that follow from a published price by hand.
//!
//! The FAQ cases are AWS's own worked examples (`https://aws.amazon.com/s3/faqs/`, "How will I be charged and billed").
//! The list cases multiply a figure of the AWS price list named in `data/prices.json` by a round quantity.

use flowlake_cost_audit::{Destination, ErrorKind, PriceTable, RegionPrices, Usage};

const GB: u64 = 1 << 30;
const TB: u64 = 1 << 40;

fn us() -> Usage {
    Usage {
        region: "us-east-1".to_owned(),
        ..Usage::default()
    }
}

fn class(name: &str) -> Usage {
    Usage {
        storage_class: Some(name.to_owned()),
        ..us()
    }
}

fn internet(bytes: u64) -> Usage {
    Usage {
        destination: Destination::Internet,
        bytes,
        ..us()
    }
}

fn to(region: &str, bytes: u64) -> Usage {
    Usage {
        destination: Destination::Region(region.to_owned()),
        bytes,
        ..us()
    }
}

fn frankfurt() -> Usage {
    Usage {
        region: "eu-central-1".to_owned(),
        ..Usage::default()
    }
}

fn look_up(region: &str) -> Usage {
    Usage {
        region: region.to_owned(),
        get_requests: 10_000,
        list_requests: 1_000,
        ..Usage::default()
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<(&'static str, Usage, &'static str)> {
    vec![
        // AWS FAQ, "Data Transfer Out Example": 31 TB from S3 and 31 TB from EC2, the first GB free: 921.51 + 3,481.60 + 860.16.
        (
            "FAQ transfer",
            Usage {
                month_to_date_bytes: GB,
                ..internet(62 * TB - GB)
            },
            "5263.27",
        ),
        (
            "FAQ transfer, first tier",
            Usage {
                month_to_date_bytes: GB,
                ..internet(10 * TB - GB)
            },
            "921.51",
        ),
        (
            "FAQ transfer, second tier",
            Usage {
                month_to_date_bytes: 10 * TB,
                ..internet(40 * TB)
            },
            "3481.6",
        ),
        (
            "FAQ transfer, third tier",
            Usage {
                month_to_date_bytes: 50 * TB,
                ..internet(12 * TB)
            },
            "860.16",
        ),
        // AWS FAQ, "Request Example": 620,000 GET at 0.004 per 10,000, shown there as 0.25; 310,000 of the first tier, 1.55.
        (
            "FAQ GET",
            Usage {
                get_requests: 620_000,
                ..us()
            },
            "0.248",
        ),
        (
            "FAQ first-tier requests",
            Usage {
                list_requests: 310_000,
                ..us()
            },
            "1.55",
        ),
        // AWS FAQ, "Data Retrieval Example": 300 GB of Standard-IA, 3.00; a third of it to the internet as well.
        (
            "FAQ retrieval",
            Usage {
                bytes: 300 * GB,
                ..class("STANDARD_IA")
            },
            "3",
        ),
        (
            "FAQ retrieval to the internet",
            Usage {
                storage_class: Some("STANDARD_IA".to_owned()),
                ..internet(100 * GB)
            },
            "10",
        ),
        // Price list AmazonS3 20260928230416, us-east-1.
        (
            "one GET",
            Usage {
                get_requests: 1,
                ..us()
            },
            "0.0000004",
        ),
        (
            "one HEAD",
            Usage {
                head_requests: 1,
                ..us()
            },
            "0.0000004",
        ),
        (
            "one LIST",
            Usage {
                list_requests: 1,
                ..us()
            },
            "0.000005",
        ),
        (
            "a look-up",
            Usage {
                get_requests: 3,
                head_requests: 1,
                bytes: 5 << 20,
                ..us()
            },
            "0.0000016",
        ),
        // Pricing page, US East (N. Virginia), other classes.
        (
            "IA GET",
            Usage {
                get_requests: 10_000,
                ..class("STANDARD_IA")
            },
            "0.01",
        ),
        (
            "IA LIST is STANDARD's",
            Usage {
                list_requests: 1_000,
                ..class("STANDARD_IA")
            },
            "0.005",
        ),
        (
            "one zone",
            Usage {
                get_requests: 1_000,
                bytes: 10 * GB,
                ..class("ONEZONE_IA")
            },
            "0.101",
        ),
        (
            "instant retrieval",
            Usage {
                get_requests: 1_000,
                bytes: 10 * GB,
                ..class("GLACIER_IR")
            },
            "0.31",
        ),
        (
            "intelligent tiering",
            Usage {
                get_requests: 1_000,
                bytes: 10 * GB,
                ..class("INTELLIGENT_TIERING")
            },
            "0.0004",
        ),
        // Price list AWSDataTransfer 20260916132208.
        ("one GB out", internet(GB), "0.09"),
        ("one byte out", internet(1), "0.000000000084"),
        (
            "the last GB of a tier",
            Usage {
                month_to_date_bytes: 10 * TB - GB,
                ..internet(2 * GB)
            },
            "0.175",
        ),
        (
            "above 150 TB",
            Usage {
                month_to_date_bytes: 150 * TB,
                ..internet(TB)
            },
            "51.2",
        ),
        (
            "the free allowance",
            Usage {
                free_allowance: true,
                ..internet(100 * GB)
            },
            "0",
        ),
        (
            "past the allowance",
            Usage {
                free_allowance: true,
                ..internet(101 * GB)
            },
            "0.09",
        ),
        (
            "the allowance is used up",
            Usage {
                free_allowance: true,
                month_to_date_bytes: 100 * GB,
                ..internet(GB)
            },
            "0.09",
        ),
        ("to another region", to("eu-west-1", 50 * GB), "1"),
        ("to Ohio", to("us-east-2", 50 * GB), "0.5"),
        ("to itself by name", to("us-east-1", 50 * GB), "0"),
        (
            "within the region",
            Usage {
                bytes: 50 * TB,
                ..us()
            },
            "0",
        ),
        // Price list AmazonS3 and AWSDataTransfer of 2026-08-31, eu-central-1.
        (
            "Frankfurt GET",
            Usage {
                get_requests: 10_000,
                ..frankfurt()
            },
            "0.0043",
        ),
        (
            "Frankfurt LIST",
            Usage {
                list_requests: 1_000,
                ..frankfurt()
            },
            "0.0054",
        ),
        (
            "Frankfurt out",
            Usage {
                destination: Destination::Internet,
                bytes: 10 * GB,
                ..frankfurt()
            },
            "0.9",
        ),
        // Pricing page of February 2026, S3 Standard, other regions: ten thousand GET and a thousand LIST.
        ("Ireland", look_up("eu-west-1"), "0.009"),
        ("London", look_up("eu-west-2"), "0.0095"),
        ("Sydney", look_up("ap-southeast-2"), "0.0099"),
        ("Tokyo", look_up("ap-northeast-1"), "0.0084"),
        ("Sao Paulo", look_up("sa-east-1"), "0.0126"),
        ("nothing", us(), "0"),
    ]
}

#[test]
fn published_examples_come_out_exactly() {
    let table = PriceTable::builtin();
    for (name, usage, expected) in cases() {
        let cost = table.estimate(&usage).unwrap();
        assert_eq!(
            cost.total_usd.to_string(),
            expected,
            "{name}: {:#?}",
            cost.lines
        );
        let sum: rust_decimal::Decimal = cost.lines.iter().map(|line| line.usd).sum();
        assert_eq!(sum.normalize(), cost.total_usd, "{name}");
        assert_eq!(cost.prices_as_of, table.as_of());
    }
}

#[test]
fn the_table_names_a_source_for_each_figure_and_reads_itself_back() {
    let table = PriceTable::builtin();
    for (name, region) in table.regions() {
        for prices in region.requests.values() {
            let source = table.source(&prices.source).unwrap();
            assert!(source.url.starts_with("https://"), "{name}");
            assert!(source.taken <= table.as_of(), "{name}");
        }
    }
    assert_eq!(PriceTable::from_json(&table.to_json()).unwrap(), table);
}

#[test]
fn an_unknown_price_is_an_error_and_never_a_guess() {
    let table = PriceTable::builtin();
    let unknown = [
        Usage {
            region: "eu-west-1".to_owned(),
            destination: Destination::Internet,
            bytes: 11 * TB,
            ..Usage::default()
        },
        Usage {
            region: "xx-nowhere-1".to_owned(),
            get_requests: 1,
            ..Usage::default()
        },
        Usage {
            get_requests: 1,
            ..class("DEEP_ARCHIVE")
        },
        Usage {
            storage_class: Some("GLACIER_IR".to_owned()),
            get_requests: 1,
            ..frankfurt()
        },
        Usage {
            destination: Destination::Region("eu-west-1".to_owned()),
            bytes: 1,
            ..frankfurt()
        },
    ];
    for usage in unknown {
        let error = table.estimate(&usage).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownPrice);
        assert!(
            error
                .to_string()
                .contains("load an AWS price list or set an override"),
            "{error}"
        );
    }
}

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

#[test]
fn every_region_has_a_price_or_is_refused() {
    let table = PriceTable::builtin();
    let mut refused = Vec::new();
    for region in REGIONS {
        match table.estimate(&look_up(region)) {
            Ok(cost) => assert!(!cost.total_usd.is_zero(), "{region}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::UnknownPrice);
                let said = error.to_string();
                assert!(
                    said.contains(region) && said.contains("load an AWS price list"),
                    "{said}"
                );
                refused.push(region);
            }
        }
    }
    // What README.md says: fourteen regions have prices of requests.
    assert_eq!(REGIONS.len() - refused.len(), 14, "{refused:?}");
    let unknown = table.regions().find(|(name, _)| !REGIONS.contains(name));
    assert!(unknown.is_none(), "{unknown:?}");
}

#[test]
fn an_override_replaces_only_what_it_sets() {
    let prices: RegionPrices = serde_json::from_str(
        r#"{"requests": {"STANDARD": {"put_list_usd_per_1000": "1", "get_usd_per_1000": "2", "source": "transfer-us-east-1"}}}"#,
    )
    .unwrap();
    let table = PriceTable::builtin().with_override("us-east-1", prices);
    let usage = Usage {
        get_requests: 1_000,
        ..internet(GB)
    };
    assert_eq!(
        table.estimate(&usage).unwrap().total_usd.to_string(),
        "2.09"
    );
    assert!(table.source("configuration").is_none());
    // What is set by hand need not name a source, and is marked as such.
    let prices: RegionPrices =
        serde_json::from_str(r#"{"to_other_regions": {"usd_per_gb": "0.5"}}"#).unwrap();
    let table = table.with_override("us-east-1", prices);
    assert_eq!(table.source("configuration").unwrap().url, "flowlake.toml");
    assert_eq!(PriceTable::from_json(&table.to_json()).unwrap(), table);
    let unsourced = r#"{"as_of": "2026-01-01", "free_internet_gb_per_month": 100, "sources": {}, "regions": {"x": {"to_other_regions": {"usd_per_gb": "0.5"}}}}"#;
    assert_eq!(
        PriceTable::from_json(unsourced).unwrap_err().kind(),
        ErrorKind::InvalidPrices
    );
}

#[test]
fn destinations_are_read_from_text() {
    assert_eq!(
        Destination::parse("internet").unwrap(),
        Destination::Internet
    );
    assert_eq!(
        Destination::parse("same-region").unwrap(),
        Destination::SameRegion
    );
    let region = Destination::Region("eu-west-1".to_owned());
    assert_eq!(Destination::parse("eu-west-1").unwrap(), region);
    assert_eq!(
        Destination::parse("Internet!").unwrap_err().kind(),
        ErrorKind::InvalidSetting
    );
}
