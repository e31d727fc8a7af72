//! Where credentials come from, and where requests go: profiles, processes, roles to assume, FIPS and dual stack.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use flowlake_aws_access::{
    Access, AccessMode, AccessRequest, AccessSettings, AssumeRoleSettings, AwsSettings, ErrorKind,
    PrincipalKind, StaticCredentials, iam_client, load_sdk_config, s3_client, sts_client,
};
use flowlake_dev_stack::{IamDocument, Identity};
use serde_json::json;

use crate::support::{Bench, ROLE, USER, ask_iam, read_exports, statements};

/// A user who may do nothing but assume the reader's role, by external id and with session tags.
fn trusting() -> IamDocument {
    let trust = statements(json!([{
        "Effect": "Allow",
        "Principal": { "AWS": USER },
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": { "StringEquals": { "sts:ExternalId": "handshake", "aws:RequestTag/team": "data" } },
    }]));
    let tagged = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": { "StringEquals": { "aws:PrincipalTag/team": "data" } } });
    IamDocument::default()
        .with_identity(Identity::new(USER).with_policy(
            "assume",
            statements(json!([{ "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*" }])),
        ))
        .with_identity(
            Identity::new(ROLE)
                .with_policy("read", statements(json!([ask_iam(), tagged])))
                .with_trust(trust),
        )
}

/// The store's own keys are not those that STS knows: no policy helps.
#[tokio::test]
async fn a_secret_that_s3_refuses_is_no_denial() {
    let bench = Bench::new(trusting()).await;
    let right = bench.settings(USER);
    let key = bench.stack.access_key(USER);
    let wrong = AwsSettings {
        credentials: Some(StaticCredentials::new(key.id, "wrong".to_owned())),
        ..right.clone()
    };
    let (sdk, other) = (
        load_sdk_config(&right).await.unwrap(),
        load_sdk_config(&wrong).await.unwrap(),
    );
    let access = Access::builder(
        iam_client(&sdk, &right),
        sts_client(&sdk, &right),
        s3_client(&other, &wrong),
    )
    .with_settings(AccessSettings {
        mode: AccessMode::Probe,
        ..AccessSettings::default()
    })
    .build()
    .unwrap();
    let request = AccessRequest::read("lake", "exports/calls.csv");
    let error = access.check(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert!(error.to_string().contains("S3 does not accept"), "{error}");
}

#[tokio::test]
async fn a_role_is_assumed_with_external_id_name_length_and_tags() {
    let bench = Bench::new(trusting()).await;
    let role = AssumeRoleSettings {
        role_arn: ROLE.to_owned(),
        external_id: Some("handshake".to_owned()),
        session_name: Some("nightly".to_owned()),
        session_length: Some(Duration::from_secs(1800)),
        session_tags: BTreeMap::from([("team".to_owned(), "data".to_owned())]),
    };
    let aws = AwsSettings {
        assume_role: Some(role),
        ..bench.settings(USER)
    };
    let access = bench.access_with(&aws, AccessSettings::default()).await;
    let identity = access.identity().await.unwrap();
    assert_eq!(identity.kind, PrincipalKind::AssumedRole);
    assert_eq!(
        identity.arn,
        "arn:aws:sts::123456789012:assumed-role/reader/nightly"
    );
    let sent = bench
        .stack
        .aws()
        .received("AssumeRole")
        .pop()
        .unwrap()
        .form();
    for (name, value) in [
        ("RoleArn", ROLE),
        ("RoleSessionName", "nightly"),
        ("ExternalId", "handshake"),
        ("DurationSeconds", "1800"),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "data"),
    ] {
        assert_eq!(sent[name], value);
    }
    // The tag is part of the simulation too, and S3 agrees.
    let request = AccessRequest::read("lake", "exports/calls.csv");
    assert!(access.check(&request).await.unwrap().allowed);
    let probe = AccessSettings {
        mode: AccessMode::Probe,
        ..AccessSettings::default()
    };
    assert!(
        bench
            .access_with(&aws, probe)
            .await
            .check(&request)
            .await
            .unwrap()
            .allowed
    );
}

#[tokio::test]
async fn a_role_that_does_not_trust_us_is_a_matter_of_credentials() {
    let bench = Bench::new(trusting()).await;
    let role = AssumeRoleSettings {
        role_arn: ROLE.to_owned(),
        external_id: None,
        session_name: None,
        session_length: None,
        session_tags: BTreeMap::new(),
    };
    let aws = AwsSettings {
        assume_role: Some(role),
        ..bench.settings(USER)
    };
    let access = bench.access_with(&aws, AccessSettings::default()).await;
    let error = access.identity().await.unwrap_err();
    assert_eq!(
        error.kind(),
        flowlake_aws_access::ErrorKind::Credentials,
        "{error}"
    );
}

/// A configuration file with these lines, and settings that use it instead of fixed credentials.
fn from_file(bench: &Bench, folder: &std::path::Path, profile: &str, lines: &str) -> AwsSettings {
    let config_file = folder.join("config");
    std::fs::write(&config_file, lines).unwrap();
    let credentials_file = folder.join("credentials");
    std::fs::write(&credentials_file, "").unwrap();
    AwsSettings {
        profile: Some(profile.to_owned()),
        config_file: Some(config_file),
        credentials_file: Some(credentials_file),
        credentials: None,
        ..bench.settings(USER)
    }
}

fn reader() -> IamDocument {
    let policy = statements(json!([ask_iam(), read_exports()]));
    IamDocument::default().with_identity(Identity::new(USER).with_policy("read", policy))
}

#[tokio::test]
async fn a_profile_with_a_role_assumes_it() {
    let bench = Bench::new(trusting()).await;
    let folder = tempfile::tempdir().unwrap();
    let key = bench.stack.access_key(USER);
    // The profile's chain asks its own STS client, which takes the endpoint from the profile.
    let lines = format!(
        "[profile base]\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = us-east-1\n\
         [profile reader]\nsource_profile = base\nrole_arn = {ROLE}\nexternal_id = handshake\nrole_session_name = from-profile\nendpoint_url = {}\n",
        key.id,
        key.secret,
        bench.stack.aws_url()
    );
    let aws = from_file(&bench, folder.path(), "reader", &lines);
    let access = bench.access_with(&aws, AccessSettings::default()).await;
    // The trust policy asks for a tag that profiles cannot give: reaching it shows that the chain was followed.
    let error = access.identity().await.unwrap_err();
    assert_eq!(error.kind(), flowlake_aws_access::ErrorKind::Credentials);
    let sent = bench
        .stack
        .aws()
        .received("AssumeRole")
        .pop()
        .unwrap()
        .form();
    assert_eq!(sent["RoleSessionName"], "from-profile");
    assert_eq!(sent["ExternalId"], "handshake");
}

#[tokio::test]
async fn a_profile_with_keys_or_a_process_is_enough() {
    let bench = Bench::new(reader()).await;
    let folder = tempfile::tempdir().unwrap();
    let key = bench.stack.access_key(USER);
    let printed = json!({ "Version": 1, "AccessKeyId": key.id, "SecretAccessKey": key.secret });
    let answer: PathBuf = folder.path().join("answer.json");
    std::fs::write(&answer, printed.to_string()).unwrap();
    for lines in [
        format!(
            "[profile mine]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            key.id, key.secret
        ),
        format!(
            "[profile mine]\ncredential_process = cat {}\n",
            answer.display()
        ),
    ] {
        let aws = from_file(&bench, folder.path(), "mine", &lines);
        let access = bench.access_with(&aws, AccessSettings::default()).await;
        assert_eq!(access.identity().await.unwrap().arn, USER);
    }
}

#[tokio::test]
async fn fips_and_dual_stack_choose_the_host() {
    for (use_fips, use_dual_stack, host) in [
        (false, false, "lake.s3.eu-west-1.amazonaws.com"),
        (false, true, "lake.s3.dualstack.eu-west-1.amazonaws.com"),
        (true, false, "lake.s3-fips.us-east-1.amazonaws.com"),
        (true, true, "lake.s3-fips.dualstack.us-east-1.amazonaws.com"),
    ] {
        let region = if use_fips { "us-east-1" } else { "eu-west-1" };
        let aws = AwsSettings {
            region: Some(region.to_owned()),
            use_fips,
            use_dual_stack,
            credentials: Some(flowlake_aws_access::StaticCredentials::new(
                "AKIAEXAMPLE".to_owned(),
                "example".to_owned(),
            )),
            ..AwsSettings::default()
        };
        let sdk = load_sdk_config(&aws).await.unwrap();
        let presigning =
            aws_sdk_s3::presigning::PresigningConfig::expires_in(Duration::from_secs(60));
        let request = s3_client(&sdk, &aws)
            .get_object()
            .bucket("lake")
            .key("k")
            .presigned(presigning.unwrap())
            .await
            .unwrap();
        let uri = request.uri();
        assert!(uri.starts_with(&format!("https://{host}/k?")), "{uri}");
    }
}
