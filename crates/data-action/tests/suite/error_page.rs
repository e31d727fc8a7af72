//! `docs/errors.md` lists every code as it is.

use std::{fmt::Write, fs, path::Path};

use flowlake_data_action::ErrorCode;

#[test]
fn the_page_of_error_codes_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let page = fs::read_to_string(page).unwrap();
    let rows: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let mut expected = String::new();
    for code in ErrorCode::ALL {
        let again = if code.is_retryable() { "yes" } else { "no" };
        let text = code.description().trim();
        writeln!(
            expected,
            "| `{code}` | {text} | {} | {} | {again} |",
            code.http_status(),
            code.exit_code()
        )
        .unwrap();
    }
    assert_eq!(
        rows.join("\n") + "\n",
        expected,
        "write this table into docs/errors.md"
    );
}
