//! A server that answers something that is no HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use flowlake_data_action::ErrorCode;
use serde_json::json;

use crate::support::{CALLER, House};

/// The address of a server of garbage.
fn garbage() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"\0\x01garbage and no HTTP\r\n\r\n");
        }
    });
    url
}

#[tokio::test]
async fn garbage_is_not_a_matter_of_credentials() {
    let allow = || {
        json!([
            { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] },
        ])
    };
    let files = [("exports/customers.csv", "ani,name,tier\n")];
    let url = garbage();
    let of_s3 = House::furnished(&files, allow(), "", &[], |config| {
        config.aws.s3_endpoint_url = Some(url.clone());
    });
    let (code, message) = of_s3
        .await
        .run("look-up", json!({ "ani": CALLER }))
        .await
        .unwrap_err();
    assert_eq!(code, ErrorCode::S3Unavailable, "{message}");
    let of_iam = House::furnished(&files, allow(), "", &[], |config| {
        config.aws.endpoint_url = Some(url.clone());
    });
    let (code, message) = of_iam
        .await
        .run("look-up", json!({ "ani": CALLER }))
        .await
        .unwrap_err();
    assert_eq!(code, ErrorCode::AccessUnavailable, "{message}");
}
