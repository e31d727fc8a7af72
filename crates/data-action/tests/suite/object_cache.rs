//! `[object_cache]`: the same rows, read from the disk where S3 need not be asked, and records that say so.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::os::unix::fs::PermissionsExt;

use flowlake_data_action::{
    Answer, Config, ErrorCode, ObjectCacheSettings, Pipeline, Project, read_toml,
};
use serde_json::{Value, json};

use crate::support::{House, variables};

const CALLS: &str = r#"
name = "calls"
[tables.calls]
uri = "s3://lake/exports/calls.csv"
[query]
sql = "SELECT count(*) AS n, sum(seconds) AS s FROM calls"
"#;

fn reading() -> Value {
    json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] }])
}

fn section(folder: &std::path::Path) -> String {
    format!("[object_cache]\ndirectory = \"{}\"\n", folder.display())
}

#[tokio::test]
async fn the_second_read_is_from_the_disk_and_its_record_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let files = [("exports/calls.csv", "id,seconds\n1,10\n2,20\n")];
    let house = House::furnished(&files, reading(), &section(&cache), &[CALLS], |_| {}).await;
    let first = house.ask("calls", json!({})).await.unwrap();
    assert!(first.cost_tracking.bytes > 0);
    let again = from_disk(&house).await;
    assert_eq!(again.data.get(), first.data.get());
    assert!(again.cost_tracking.bytes_from_disk > 0);
    let record = &again.audit_log;
    assert_eq!(
        (record.bytes_transferred, record.bytes_from_disk),
        (0, again.cost_tracking.bytes_from_disk)
    );
    assert_eq!(record.objects.len(), 1);
}

/// Asks until all bytes come from the disk: they are written beside the answer.
async fn from_disk(house: &House) -> Answer {
    loop {
        let answer = house.ask("calls", json!({})).await.unwrap();
        if answer.cost_tracking.bytes == 0 {
            return answer;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_denied_caller_gets_nothing_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let files = [("exports/calls.csv", "id,seconds\n1,10\n")];
    let more = format!("{}[access]\nttl = \"1ms\"\n", section(&cache));
    let house = House::furnished(&files, reading(), &more, &[CALLS], |_| {}).await;
    from_disk(&house).await;
    house.change_rights(json!([]));
    let (code, _) = house.ask("calls", json!({})).await.unwrap_err();
    assert_eq!(code, ErrorCode::AccessDenied);
}

#[tokio::test]
async fn a_folder_that_others_may_enter_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("flowlake.toml"),
        "[aws]\nregion = \"eu-west-1\"\n[object_cache]\n",
    )
    .unwrap();
    let cache = folder.path().join("object-cache");
    std::fs::create_dir(&cache).unwrap();
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o750)).unwrap();
    let build = async || {
        let project = Project::load(folder.path()).unwrap();
        Box::pin(Pipeline::builder(project).build(&variables())).await
    };
    let error = build().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConfigInvalid);
    assert!(error.message().contains("chmod 700"), "{error}");
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o700)).unwrap();
    build().await.unwrap();
}

#[test]
fn the_section_is_read() {
    let text = "[object_cache]\ndirectory = \"/var/cache/flowlake\"\nsize = \"1GiB\"\nkms = true\n";
    let config: Config = read_toml(std::path::Path::new("flowlake.toml"), text).unwrap();
    let expected = ObjectCacheSettings {
        directory: "/var/cache/flowlake".into(),
        size: bytesize::ByteSize::gib(1),
        kms: true,
    };
    assert_eq!(config.object_cache, Some(expected));
    assert_eq!(Config::default().object_cache, None);
}
