//! `flowlake explain` and `flowlake check` of files whose formats have neither indexes nor types of their own.

use crate::support::House;

#[tokio::test]
async fn lines_of_json_have_no_indexes_and_types_as_the_docs_write_them() {
    let house = House::new().await;
    house.lay(
        "calls.ndjson",
        b"{\"ani\":\"1\",\"ms\":5,\"at\":\"2026-01-05\",\"w\":1.5}\n",
    );
    house.action(
        r#"
name = "calls"
[tables.calls]
uri = "s3://lake/exports/calls.ndjson"
[query]
sql = "SELECT ani, ms, w FROM calls WHERE ani = '1' AND ms > 3"
"#,
    );
    let told = house.told(&["explain", "calls"], 0).await;
    assert!(
        told.contains("rows left out while files are read: conditions on ani, ms"),
        "{told}"
    );
    assert!(!told.to_lowercase().contains("index"), "{told}");
    let checked = house.told(&["check"], 0).await;
    for told in [told, checked] {
        for kind in ["Utf8", "Int64", "Float64"] {
            assert!(!told.contains(kind), "{told}");
        }
        for column in ["ani string", "ms integer", "w float"] {
            assert!(told.contains(column), "{told}");
        }
    }
}
