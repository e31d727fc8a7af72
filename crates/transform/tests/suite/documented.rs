//! The page about tables explains each key that there is.

use std::path::Path;

use flowlake_transform::TableSpec;

#[test]
fn every_key_of_a_table_is_explained() {
    // The error about an unknown key lists the known ones.
    let error = serde_json::from_str::<TableSpec>(r#"{"unknown": 1}"#)
        .map(drop)
        .map_err(|error| error.to_string());
    let message = error.err().unwrap_or_default();
    let keys: Vec<&str> = message.split('`').skip(3).step_by(2).collect();
    assert!(keys.len() > 15, "{message}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tables.md");
    let page = std::fs::read_to_string(page).unwrap_or_default();
    for key in keys {
        assert!(
            page.contains(&format!("`{key}`")),
            "docs/tables.md does not explain `{key}`"
        );
    }
}
