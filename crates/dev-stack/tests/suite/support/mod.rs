//! The real SDK clients, pointed at the stand-ins.

use aws_credential_types::Credentials;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use flowlake_dev_stack::{AccessKey, DevStack};
use url::Url;

pub(crate) fn config(url: &Url, key: &AccessKey, token: Option<&str>) -> SdkConfig {
    let credentials = Credentials::new(
        &key.id,
        &key.secret,
        token.map(str::to_owned),
        None,
        "dev-stack",
    );
    SdkConfig::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(url.as_str())
        .credentials_provider(
            aws_credential_types::provider::SharedCredentialsProvider::new(credentials),
        )
        .retry_config(RetryConfig::disabled())
        .build()
}

pub(crate) fn s3_client(stack: &DevStack, key: &AccessKey) -> aws_sdk_s3::Client {
    s3_client_with(stack, key, None)
}

pub(crate) fn s3_client_with(
    stack: &DevStack,
    key: &AccessKey,
    token: Option<&str>,
) -> aws_sdk_s3::Client {
    let config = config(&stack.s3_url(), key, token);
    aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(true)
            .build(),
    )
}

/// The service's error code.
pub(crate) fn code<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata,
{
    error.code().unwrap_or("none").to_owned()
}
