//! Every example of `docs/functions.md`, through SQL, with constants and with a column.

use crate::support::Question;
use flowlake_cases::documented_functions;
use flowlake_transform::ErrorKind;

const PAGE: &str = include_str!("../../../../docs/functions.md");

#[tokio::test]
async fn every_example_of_the_page_gives_its_result() {
    let question = Question::of("t.csv", "n,text\n1,x\n2,\n").await;
    let examples = documented_functions(PAGE);
    assert!(examples.len() > 20, "{}", examples.len());
    for (example, expected) in examples {
        let rows = question.rows(&format!("SELECT {example} AS r")).await;
        assert_eq!(rows[0]["r"], expected, "{example}");
        // Beside a column, so that it is computed for each row and not folded away.
        let rows = question
            .rows(&format!("SELECT n, {example} AS r FROM t ORDER BY n"))
            .await;
        assert_eq!(
            (&rows[0]["r"], &rows[1]["r"]),
            (&expected, &expected),
            "{example}"
        );
    }
}

#[tokio::test]
async fn columns_are_taken_and_nulls_stay_nulls() {
    let csv = "ani,region,day\n(202) 555-0142,US,2026-01-05\n,US,\n030 901820,DE,2026-01-10\n";
    let question = Question::of("t.csv", csv).await;
    let rows = question
        .rows("SELECT to_e164(ani, region) AS e, is_business_day(day) AS b FROM t")
        .await;
    let expected = serde_json::json!([
        { "e": "+12025550142", "b": true },
        { "e": null, "b": null },
        { "e": "+4930901820", "b": false },
    ]);
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn what_is_no_zone_no_region_and_no_day_is_an_error_that_does_not_quote_it() {
    let question = Question::of("t.csv", "a\nSecretValue\n").await;
    for sql in [
        "SELECT local_date(TIMESTAMP '2026-01-01T00:00:00Z', a) AS r FROM t",
        "SELECT to_e164('1', a) AS r FROM t",
        "SELECT is_business_day(DATE '2026-01-05', a) AS r FROM t",
        "SELECT is_business_day(DATE '2026-01-05', '', a) AS r FROM t",
    ] {
        let error = question.run(sql).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSql, "{sql}: {error}");
        assert!(!error.to_string().contains("SecretValue"), "{error}");
    }
}
