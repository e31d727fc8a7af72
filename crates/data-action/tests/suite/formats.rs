//! Rows in every format through the pipeline, kept or in a file, and what an action would do.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    io::{Read, Seek, Write},
    sync::Arc,
};

use crate::support::{CALLER, House};
use flowlake_data_action::{ActionRequest, Answer, ErrorCode, Failure, RowFormat, RowOutput};
use serde_json::json;

fn request(format: RowFormat, file: Option<Arc<std::fs::File>>) -> ActionRequest {
    ActionRequest {
        action: "look-up".to_owned(),
        params: json!({ "ani": CALLER }).as_object().unwrap().clone(),
        output: RowOutput {
            format,
            file,
            ..RowOutput::default()
        },
        ..ActionRequest::default()
    }
}

async fn ask(house: &House, format: RowFormat) -> Result<Answer, Failure> {
    house.pipeline.run(request(format, None)).await
}

#[tokio::test]
async fn rows_come_in_the_format_asked_for_and_each_attempt_is_recorded() {
    let house = House::build(&[]).await;
    let json = ask(&house, RowFormat::Json).await.unwrap();
    assert_eq!(json.data.get(), r#"[{"name":"Ana","tier":"gold"}]"#);
    assert!(json.encoded.is_empty() && json.steps.is_empty());
    for (format, begins) in [
        (
            RowFormat::Ndjson,
            b"{\"name\":\"Ana\",\"tier\":\"gold\"}\n".as_slice(),
        ),
        (RowFormat::Csv, b"name,tier\r\nAna,gold\r\n"),
        (RowFormat::Arrow, b"\xff\xff\xff\xff"),
        (RowFormat::Parquet, b"PAR1"),
    ] {
        let answer = ask(&house, format).await.unwrap();
        assert!(
            answer.encoded.starts_with(begins),
            "{format:?}: {:?}",
            answer.encoded
        );
        assert_eq!((answer.data.get(), answer.row_count), ("[]", 1));
    }
    assert_eq!(house.audit().len(), 5);
}

#[tokio::test]
async fn a_file_gets_the_same_rows_and_holds_nothing_of_before() {
    let house = House::build(&[]).await;
    for format in [
        RowFormat::Ndjson,
        RowFormat::Csv,
        RowFormat::Arrow,
        RowFormat::Parquet,
    ] {
        let kept = ask(&house, format).await.unwrap().encoded;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[b'x'; 100_000]).unwrap();
        let handle = Arc::new(file.try_clone().unwrap());
        let answer = house
            .pipeline
            .run(request(format, Some(handle)))
            .await
            .unwrap();
        assert!(answer.encoded.is_empty());
        let mut written = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut written).unwrap();
        assert_eq!(written, kept, "{format:?}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_an_error_with_its_record() {
    let house = House::build(&[]).await;
    let path = house.folder.path().join("read-only");
    std::fs::write(&path, "").unwrap();
    let file = Arc::new(std::fs::File::open(&path).unwrap());
    let failure = house
        .pipeline
        .run(request(RowFormat::Csv, Some(file)))
        .await
        .unwrap_err();
    assert_eq!(failure.error.code(), ErrorCode::OutputUnwritable);
    assert!(house.audit()[0].contains("output.unwritable"));
}

#[tokio::test]
async fn an_explanation_names_no_value_reads_no_row_and_asks_for_the_right_to_read() {
    let denied = r#"
name = "denied"
[tables.t]
uri = "s3://lake/exports/denied.csv"
[query]
sql = "SELECT * FROM t"
"#;
    let house = House::build(&[denied]).await;
    let params = json!({ "ani": CALLER });
    let params = params.as_object().unwrap();
    let inspector = house.inspector().await;
    let told = inspector.explain("look-up", params).await.unwrap();
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains(CALLER), "{text}");
    assert_eq!(
        told.locations,
        [(
            "customers".to_owned(),
            "s3://lake/exports/customers.csv".to_owned()
        )]
    );
    assert_eq!(told.explanation.scans[0].files, 1);
    assert_eq!(told.explanation.columns[1].0, "tier");
    assert!(
        told.explanation
            .steps
            .iter()
            .any(|step| step.text.contains("`ani`")),
        "{text}"
    );
    let refused = inspector
        .explain("denied", &serde_json::Map::new())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), ErrorCode::AccessDenied);
    let wrong = inspector
        .explain("look-up", &serde_json::Map::new())
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), ErrorCode::ParamInvalid);
    assert!(house.audit().is_empty(), "an explanation is no attempt");

    let mut asked = request(RowFormat::Json, None);
    asked.explain = true;
    let answer = house.pipeline.run(asked).await.unwrap();
    let rows: Vec<_> = answer
        .steps
        .iter()
        .map(|step| step.run.unwrap().rows)
        .collect();
    assert_eq!(
        (answer.steps.len(), rows.last()),
        (told.explanation.steps.len(), Some(&1))
    );
}
