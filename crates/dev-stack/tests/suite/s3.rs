//! S3 by the real SDK: reads, conditions, listings, writes, signatures and IAM.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use crate::support::{code, s3_client};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use flowlake_dev_stack::{AccessKey, DevStack, Failure, IamDocument, Identity, ObjectState};
use serde_json::json;

const ADMIN: &str = "flowlake";
const BUCKET: &str = "lake";

async fn stack_with(files: &[(&str, &str)]) -> (tempfile::TempDir, DevStack, Client) {
    let folder = tempfile::tempdir().unwrap();
    for (key, text) in files {
        let path = folder.path().join(BUCKET).join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::create_dir_all(folder.path().join(BUCKET)).unwrap();
    let stack = DevStack::builder(folder.path()).start().await.unwrap();
    let client = s3_client(&stack, &stack.access_key(ADMIN));
    (folder, stack, client)
}

async fn text(client: &Client, key: &str, range: Option<&str>) -> Result<String, String> {
    let response = client
        .get_object()
        .bucket(BUCKET)
        .key(key)
        .set_range(range.map(str::to_owned))
        .send()
        .await
        .map_err(|error| code(&error))?;
    let bytes = response.body.collect().await.unwrap().into_bytes();
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test]
async fn reads_whole_and_in_ranges() {
    let (_folder, stack, client) = stack_with(&[("a/b c+d%é.csv", "0123456789"), ("e", "")]).await;
    let key = "a/b c+d%é.csv";
    assert_eq!(text(&client, key, None).await.unwrap(), "0123456789");
    assert_eq!(text(&client, key, Some("bytes=2-4")).await.unwrap(), "234");
    assert_eq!(text(&client, key, Some("bytes=8-99")).await.unwrap(), "89");
    assert_eq!(text(&client, key, Some("bytes=-3")).await.unwrap(), "789");
    assert_eq!(
        text(&client, key, Some("bytes=10-")).await.unwrap_err(),
        "InvalidRange"
    );
    assert_eq!(text(&client, "e", None).await.unwrap(), "");
    assert_eq!(text(&client, "no", None).await.unwrap_err(), "NoSuchKey");
    assert_eq!(
        text(&client, "a", None).await.unwrap_err(),
        "NoSuchKey",
        "a folder is not an object"
    );
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key(key)
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(10));
    assert_eq!(head.content_type(), Some("text/csv"));
    let missing = client
        .get_object()
        .bucket("nowhere")
        .key("x")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&missing), "NoSuchBucket");
    assert!(stack.s3().count("GetObject") >= 7);
    stack.shutdown().await;
}

#[tokio::test]
async fn a_changed_file_has_another_etag_and_conditions_hold() {
    let (folder, _stack, client) = stack_with(&[("x.csv", "one")]).await;
    let etag = || async {
        client
            .head_object()
            .bucket(BUCKET)
            .key("x.csv")
            .send()
            .await
            .unwrap()
            .e_tag()
            .unwrap()
            .to_owned()
    };
    let first = etag().await;
    assert_eq!(first, etag().await);
    let get = client.get_object().bucket(BUCKET).key("x.csv");
    assert!(get.clone().if_match(&first).send().await.is_ok());
    let unchanged = get.clone().if_none_match(&first).send().await.unwrap_err();
    assert_eq!(unchanged.raw_response().unwrap().status().as_u16(), 304);
    // The file is changed behind the back of S3, as a test or a person would.
    std::fs::write(folder.path().join(BUCKET).join("x.csv"), "three").unwrap();
    assert_ne!(first, etag().await);
    let changed = get.clone().if_match(&first).send().await.unwrap_err();
    assert_eq!(changed.raw_response().unwrap().status().as_u16(), 412);
    assert_eq!(code(&changed), "PreconditionFailed");
    // Overwritten through S3 as well, even with the same bytes in the same moment.
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let put = client
            .put_object()
            .bucket(BUCKET)
            .key("x.csv")
            .body("same".as_bytes().to_vec().into())
            .send()
            .await
            .unwrap();
        assert_eq!(put.e_tag().unwrap(), etag().await);
        assert!(seen.insert(put.e_tag().unwrap().to_owned()));
    }
}

#[tokio::test]
async fn only_one_of_two_conditional_writes_wins() {
    let (_folder, _stack, client) = stack_with(&[("x", "0")]).await;
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("x")
        .send()
        .await
        .unwrap();
    let etag = head.e_tag().unwrap();
    let put = |body: &'static str| {
        client
            .put_object()
            .bucket(BUCKET)
            .key("x")
            .if_match(etag)
            .body(body.as_bytes().to_vec().into())
            .send()
    };
    let (a, b) = tokio::join!(put("a"), put("b"));
    assert!(a.is_ok() != b.is_ok());
    let create = client
        .put_object()
        .bucket(BUCKET)
        .key("x")
        .if_none_match("*")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&create), "PreconditionFailed");
}

#[tokio::test]
async fn lists_by_prefix_delimiter_and_page() {
    let (_folder, _stack, client) = stack_with(&[
        ("a/1", "x"),
        ("a/2", "xx"),
        ("a/b/3", ""),
        ("c", "y"),
        ("p q/1+%", ""),
    ])
    .await;
    let page = client
        .list_objects_v2()
        .bucket(BUCKET)
        .prefix("a/")
        .delimiter("/")
        .send()
        .await
        .unwrap();
    let keys: Vec<&str> = page.contents().iter().filter_map(|o| o.key()).collect();
    assert_eq!(keys, ["a/1", "a/2"]);
    assert_eq!(page.common_prefixes()[0].prefix(), Some("a/b/"));
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("a/2")
        .send()
        .await
        .unwrap();
    assert_eq!(page.contents()[1].e_tag(), head.e_tag());
    assert_eq!(page.contents()[1].size(), Some(2));
    let mut pages = client
        .list_objects_v2()
        .bucket(BUCKET)
        .max_keys(1)
        .into_paginator()
        .send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert!(page.contents().len() <= 1);
        all.extend(
            page.contents()
                .iter()
                .filter_map(|o| o.key().map(str::to_owned)),
        );
    }
    assert_eq!(all, ["a/1", "a/2", "a/b/3", "c", "p q/1+%"]);
    let encoded = client
        .list_objects_v2()
        .bucket(BUCKET)
        .encoding_type(aws_sdk_s3::types::EncodingType::Url)
        .prefix("p q/")
        .send()
        .await
        .unwrap();
    let keys: Vec<&str> = encoded.contents().iter().filter_map(|o| o.key()).collect();
    assert_eq!(keys, ["p%20q/1%2B%25"]);
}

#[tokio::test]
async fn writes_copies_and_deletes() {
    let (folder, _stack, client) = stack_with(&[]).await;
    client
        .put_object()
        .bucket(BUCKET)
        .key("in/a.bin")
        .content_type("application/x-test")
        .metadata("colour", "blue")
        .body(vec![7; 3000].into())
        .send()
        .await
        .unwrap();
    client
        .copy_object()
        .bucket(BUCKET)
        .key("in/b.bin")
        .copy_source(format!("{BUCKET}/in/a.bin"))
        .send()
        .await
        .unwrap();
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("in/b.bin")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_type(), Some("application/x-test"));
    assert_eq!(head.metadata().unwrap()["colour"], "blue");
    let batch = Delete::builder()
        .objects(ObjectIdentifier::builder().key("in/a.bin").build().unwrap())
        .objects(ObjectIdentifier::builder().key("in/no").build().unwrap())
        .build()
        .unwrap();
    client
        .delete_objects()
        .bucket(BUCKET)
        .delete(batch)
        .send()
        .await
        .unwrap();
    client
        .delete_object()
        .bucket(BUCKET)
        .key("in/b.bin")
        .send()
        .await
        .unwrap();
    assert!(!folder.path().join(BUCKET).join("in").exists());
    // The next object of that name starts without the old one's headers.
    client
        .put_object()
        .bucket(BUCKET)
        .key("in/b.bin")
        .send()
        .await
        .unwrap();
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("in/b.bin")
        .send()
        .await
        .unwrap();
    assert_eq!(head.metadata().map_or(0, |metadata| metadata.len()), 0);
}

#[tokio::test]
async fn uploads_in_parts() {
    let (_folder, _stack, client) = stack_with(&[]).await;
    let upload = client
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("big")
        .send()
        .await
        .unwrap();
    let id = upload.upload_id().unwrap();
    let mut parts = CompletedMultipartUpload::builder();
    for (number, size) in [(1, 5 << 20), (2, 1000)] {
        let part = client
            .upload_part()
            .bucket(BUCKET)
            .key("big")
            .upload_id(id)
            .part_number(number)
            .body(vec![u8::try_from(number).unwrap(); size].into())
            .send()
            .await
            .unwrap();
        parts = parts.parts(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag().map(str::to_owned))
                .build(),
        );
    }
    let done = client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("big")
        .upload_id(id)
        .multipart_upload(parts.build())
        .send()
        .await
        .unwrap();
    let head = client
        .head_object()
        .bucket(BUCKET)
        .key("big")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some((5 << 20) + 1000));
    assert_eq!(head.e_tag(), done.e_tag());
}

fn restricted() -> IamDocument {
    IamDocument::single_administrator()
        .with_identity(
            Identity::new("arn:aws:iam::123456789012:user/reader").with_policy(
                "ReadExports",
                json!({"Version": "2012-10-17", "Statement": [
                    {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/exports/*"},
                    {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::lake",
                     "Condition": {"StringLike": {"s3:prefix": "exports/*"}}},
                ]}),
            ),
        )
        .with_identity(Identity::new("arn:aws:iam::123456789012:user/nobody"))
        .with_bucket_policy(
            "lake",
            json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::lake/exports/secret/*"},
                {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/public/*"},
            ]}),
        )
}

#[tokio::test]
async fn iam_decides_every_request() {
    let (_folder, stack, admin) = stack_with(&[
        ("exports/a", "a"),
        ("exports/secret/b", "b"),
        ("payroll", "p"),
        ("public/x", "x"),
    ])
    .await;
    stack.set_iam(restricted()).unwrap();
    let reader = s3_client(&stack, &stack.access_key("reader"));
    let nobody = s3_client(&stack, &stack.access_key("nobody"));
    assert_eq!(text(&reader, "exports/a", None).await.unwrap(), "a");
    let denied = Err("AccessDenied".to_owned());
    assert_eq!(text(&reader, "exports/secret/b", None).await, denied);
    assert_eq!(text(&admin, "exports/secret/b", None).await, denied);
    assert_eq!(text(&reader, "payroll", None).await, denied);
    assert_eq!(text(&nobody, "exports/a", None).await, denied);
    assert_eq!(text(&nobody, "public/x", None).await.unwrap(), "x");
    // A caller that may not list does not learn what is missing.
    assert_eq!(text(&nobody, "public/no", None).await, denied);
    assert_eq!(
        text(&reader, "exports/no", None).await,
        denied,
        "the right to list hangs on a prefix that this request lacks"
    );
    let list = |prefix: &'static str| {
        reader
            .list_objects_v2()
            .bucket(BUCKET)
            .prefix(prefix)
            .send()
    };
    assert!(list("exports/a").await.is_ok());
    assert_eq!(code(&list("pay").await.unwrap_err()), "AccessDenied");
    let policy = admin
        .get_bucket_policy()
        .bucket(BUCKET)
        .send()
        .await
        .unwrap();
    assert!(policy.policy().unwrap().contains("exports/secret"));
}

#[tokio::test]
async fn signatures_are_checked() {
    let (_folder, stack, _client) = stack_with(&[("x", "x")]).await;
    let right = stack.access_key(ADMIN);
    let wrong = AccessKey {
        secret: "wrong".to_owned(),
        ..right
    };
    let client = s3_client(&stack, &wrong);
    assert_eq!(
        text(&client, "x", None).await.unwrap_err(),
        "SignatureDoesNotMatch"
    );
    let client = s3_client(&stack, &stack.access_key("stranger"));
    assert_eq!(
        text(&client, "x", None).await.unwrap_err(),
        "InvalidAccessKeyId"
    );
    let anonymous = reqwest::get(stack.s3_url().join("/lake/x").unwrap())
        .await
        .unwrap();
    assert_eq!(anonymous.status(), 403);
}

#[tokio::test]
async fn failures_on_demand_and_request_ids() {
    let (_folder, stack, client) = stack_with(&[("x", "x")]).await;
    stack.s3().fail_next_of(
        "GetObject",
        1,
        Failure::RateLimited {
            retry_after_seconds: 1,
        },
    );
    let error = client
        .get_object()
        .bucket(BUCKET)
        .key("x")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "SlowDown");
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 503);
    stack.s3().fail_next(
        1,
        Failure::Code {
            status: 403,
            code: "InvalidObjectState".to_owned(),
        },
    );
    let error = client
        .get_object()
        .bucket(BUCKET)
        .key("x")
        .send()
        .await
        .unwrap_err();
    let SdkError::ServiceError(error) = error else {
        panic!("not a service error")
    };
    assert!(matches!(error.err(), GetObjectError::InvalidObjectState(_)));
    assert_eq!(error.err().meta().code(), Some("InvalidObjectState"));
    stack.s3().fail_next(1, Failure::Disconnect);
    assert!(text(&client, "x", None).await.is_err());
    assert_eq!(text(&client, "x", None).await.unwrap(), "x");
}

#[tokio::test]
async fn a_bucket_of_another_region_sends_the_caller_there() {
    let (_folder, stack, client) = stack_with(&[("x", "x")]).await;
    let mut document = IamDocument::single_administrator();
    document
        .buckets
        .entry(BUCKET.to_owned())
        .or_default()
        .region = Some("eu-west-1".to_owned());
    stack.set_iam(document).unwrap();
    let error = client
        .get_object()
        .bucket(BUCKET)
        .key("x")
        .send()
        .await
        .unwrap_err();
    let response = error.raw_response().unwrap();
    assert_eq!(response.status().as_u16(), 301);
    assert_eq!(
        response.headers().get("x-amz-bucket-region"),
        Some("eu-west-1")
    );
    assert_eq!(code(&error), "PermanentRedirect");
}

#[tokio::test]
async fn archived_and_encrypted_objects_behave_so() {
    let (_folder, stack, admin) = stack_with(&[("cold", "c"), ("sealed", "s")]).await;
    let glacier = |restore: Option<&str>| ObjectState {
        storage_class: Some("GLACIER".to_owned()),
        restore: restore.map(str::to_owned),
        ..ObjectState::default()
    };
    stack.set_object_state(BUCKET, "cold", glacier(None));
    let head = admin
        .head_object()
        .bucket(BUCKET)
        .key("cold")
        .send()
        .await
        .unwrap();
    assert_eq!(head.storage_class().unwrap().as_str(), "GLACIER");
    assert_eq!(
        text(&admin, "cold", None).await.unwrap_err(),
        "InvalidObjectState"
    );
    stack.set_object_state(BUCKET, "cold", glacier(Some("ongoing-request=\"true\"")));
    assert_eq!(
        text(&admin, "cold", None).await.unwrap_err(),
        "InvalidObjectState"
    );
    let done = "ongoing-request=\"false\", expiry-date=\"Fri, 25 Dec 2026 00:00:00 GMT\"";
    stack.set_object_state(BUCKET, "cold", glacier(Some(done)));
    assert_eq!(text(&admin, "cold", None).await.unwrap(), "c");

    let key_arn = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";
    let sealed = ObjectState {
        kms_key_arn: Some(key_arn.to_owned()),
        ..ObjectState::default()
    };
    stack.set_object_state(BUCKET, "sealed", sealed);
    let reader = Identity::new("arn:aws:iam::123456789012:user/reader").with_policy(
        "Read",
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}),
    );
    stack
        .set_iam(IamDocument::single_administrator().with_identity(reader))
        .unwrap();
    let reader = s3_client(&stack, &stack.access_key("reader"));
    let head = reader
        .head_object()
        .bucket(BUCKET)
        .key("sealed")
        .send()
        .await
        .unwrap();
    assert_eq!(head.ssekms_key_id(), Some(key_arn));
    assert_eq!(
        text(&reader, "sealed", None).await.unwrap_err(),
        "AccessDenied"
    );
    assert_eq!(text(&admin, "sealed", None).await.unwrap(), "s");
}

#[tokio::test]
async fn a_policy_that_wants_tls_sees_what_the_stack_is_set_to() {
    for (secure, expected) in [
        (true, Ok("x".to_owned())),
        (false, Err("AccessDenied".to_owned())),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        std::fs::write(folder.path().join(BUCKET).join("x"), "x").unwrap();
        let document = IamDocument::single_administrator().with_bucket_policy(
            BUCKET,
            json!({"Version": "2012-10-17", "Statement": [{
                "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",
                "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}),
        );
        let stack = DevStack::builder(folder.path())
            .with_iam(document)
            .with_secure_transport(secure)
            .start()
            .await
            .unwrap();
        let client = s3_client(&stack, &stack.access_key(ADMIN));
        assert_eq!(text(&client, "x", None).await, expected);
    }
}

#[tokio::test]
async fn a_body_that_is_not_in_the_model_is_refused() {
    let (_folder, stack, _client) = stack_with(&[]).await;
    let url = stack.s3_url();
    let send = async |body: &'static str| {
        let url = format!("{url}{BUCKET}/new.csv?uploadId=u");
        let sent = reqwest::Client::new().post(url).body(body).send().await;
        let answer = sent.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, text) = send("<CompleteMultipartUpload><Parts/></CompleteMultipartUpload>").await;
    assert_eq!(status, 400);
    assert!(
        text.contains("Unknown parameter in CompleteMultipartUpload"),
        "{text}"
    );
    // What is right goes on to the next check, the signature.
    let part = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>";
    let (status, text) = send(part).await;
    assert!(
        status == 403 && text.contains("AccessDenied"),
        "{status} {text}"
    );
}
