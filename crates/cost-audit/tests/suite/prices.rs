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

fn read(region: &str, storage_class: &str) -> Usage {
    Usage {
        region: region.to_owned(),
        storage_class: Some(storage_class.to_owned()),
        get_requests: 1_000,
        bytes: 10 * GB,
        ..Usage::default()
    }
}

fn out(region: &str, bytes: u64) -> Usage {
    Usage {
        region: region.to_owned(),
        destination: Destination::Internet,
        bytes,
        ..Usage::default()
    }
}

/// 50 GB from one region to another.
fn between(region: &str, other: &str) -> Usage {
    Usage {
        region: region.to_owned(),
        ..to(other, 50 * GB)
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
        // Price list AmazonS3, GET of 2026-09-28 and LIST of May 2026, regions that came after.
        ("Cape Town", look_up("af-south-1"), "0.01"),
        ("Taipei", look_up("ap-east-2"), "0.00756"),
        ("Seoul", look_up("ap-northeast-2"), "0.008"),
        ("Auckland", look_up("ap-southeast-6"), "0.010395"),
        ("Calgary", look_up("ca-west-1"), "0.0099"),
        ("Queretaro", look_up("mx-central-1"), "0.00945"),
        // Price list AmazonS3 of 2026-09-28, other classes: GET and retrieval of 10 GB.
        ("Milan IA", read("eu-south-1", "STANDARD_IA"), "0.101"),
        (
            "Bangkok one zone",
            read("ap-southeast-7", "ONEZONE_IA"),
            "0.101",
        ),
        (
            "Zurich instant retrieval",
            read("eu-central-2", "GLACIER_IR"),
            "0.31",
        ),
        (
            "Auckland instant retrieval",
            read("ap-southeast-6", "GLACIER_IR"),
            "0.31",
        ),
        (
            "Tel Aviv intelligent tiering",
            read("il-central-1", "INTELLIGENT_TIERING"),
            "0.00044",
        ),
        // Price list AWSDataTransfer of 2026-09-16: 1,536 + 5,652.48 + 1,548.288; 1,198.08 + 4,526.08 + 9,318.4 + 665.6; 1,167.36 + 3,645.44 + 88.064.
        ("Sao Paulo out", out("sa-east-1", 62 * TB), "8736.768"),
        ("Bahrain out", out("me-south-1", 160 * TB), "15708.16"),
        ("Tokyo out", out("ap-northeast-1", 51 * TB), "4900.864"),
        // The list of August 2026, 1,228.8 + 87.04, and the tables of April 2023, 1,290.24 + 1,249.28.
        ("Singapore out", out("ap-southeast-1", 11 * TB), "1315.84"),
        ("Seoul out", out("ap-northeast-2", 20 * TB), "2539.52"),
        (
            "Kuala Lumpur out",
            out("ap-southeast-5", 50 * TB),
            "4239.36",
        ),
        // Price lists of September and July 2026: 1,105.92 + 3,133.44 + 7,557.12 + 244.80, as Infracost's example has it.
        (
            "Kuala Lumpur out, all tiers",
            out("ap-southeast-5", 157_000 * GB),
            "12041.28",
        ),
        (
            "Bangkok out, all tiers",
            out("ap-southeast-7", 157_000 * GB),
            "12041.28",
        ),
        // The same example, 1,126.40 + 3,481.60 + 7,884.80 + 187.00 and 921.60 + 3,481.60 + 7,168.00 + 170.00.
        (
            "Tel Aviv out, all tiers",
            out("il-central-1", 157_000 * GB),
            "12679.8",
        ),
        (
            "Calgary out, all tiers",
            out("ca-west-1", 157_000 * GB),
            "11741.2",
        ),
        ("Ireland out", out("eu-west-1", 10 * TB + GB), "921.685"),
        (
            "Cape Town past the allowance",
            Usage {
                free_allowance: true,
                ..out("af-south-1", 101 * GB)
            },
            "0.154",
        ),
        // One region to another.
        ("to Thailand", to("ap-southeast-7", 50 * GB), "4"),
        (
            "Mumbai to Ireland",
            between("ap-south-1", "eu-west-1"),
            "4.3",
        ),
        (
            "Sao Paulo to N. Virginia",
            between("sa-east-1", "us-east-1"),
            "6.9",
        ),
        (
            "Tokyo to Osaka",
            between("ap-northeast-1", "ap-northeast-3"),
            "4.5",
        ),
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
        let requests = region.requests.values().map(|price| &price.source);
        let alone = region.get_requests.values().map(|price| &price.source);
        let retrieval = region.retrieval.values().map(|price| &price.source);
        let internet = region.internet.iter().map(|prices| &prices.source);
        let regions = region.to_region.values().chain(&region.to_other_regions);
        let gigabytes = retrieval
            .chain(internet)
            .chain(regions.map(|price| &price.source));
        for key in requests.chain(alone).chain(gigabytes) {
            let source = table.source(key).unwrap();
            assert!(source.url.starts_with("https://"), "{name}: {key}");
            assert!(source.taken <= table.as_of(), "{name}: {key}");
            assert!(!source.note.is_empty(), "{name}: {key}");
        }
    }
    assert_eq!(PriceTable::from_json(&table.to_json()).unwrap(), table);
}

#[test]
fn an_unknown_price_is_an_error_and_never_a_guess() {
    let table = PriceTable::builtin();
    let unknown = [
        out("mx-central-1", 1),
        out("ap-east-2", 51 * TB),
        look_up("xx-nowhere-1"),
        read("eu-central-1", "DEEP_ARCHIVE"),
        between("eu-central-1", "mx-central-1"),
        between("mx-central-1", "eu-central-1"),
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

#[test]
fn a_price_of_get_alone_gives_way_to_a_pair() {
    let get = |table: &PriceTable| {
        let usage = Usage {
            bytes: 0,
            ..read("eu-central-1", "GLACIER_IR")
        };
        table.estimate(&usage).unwrap().total_usd.to_string()
    };
    let set = |table: PriceTable, prices: &str| {
        table.with_override("eu-central-1", serde_json::from_str(prices).unwrap())
    };
    let table = PriceTable::builtin();
    assert_eq!(get(&table), "0.01");
    let table = set(
        table,
        r#"{"requests": {"GLACIER_IR": {"put_list_usd_per_1000": "2", "get_usd_per_1000": "1"}}}"#,
    );
    assert_eq!(get(&table), "1");
    let table = set(
        table,
        r#"{"get_requests": {"GLACIER_IR": {"get_usd_per_1000": "0.5"}}}"#,
    );
    assert_eq!(get(&table), "0.5");
    assert_eq!(table.source("configuration").unwrap().url, "flowlake.toml");
    assert_eq!(PriceTable::from_json(&table.to_json()).unwrap(), table);
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
