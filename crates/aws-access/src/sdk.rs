//! From settings to SDK clients.

use aws_config::{BehaviorVersion, Region, sts::AssumeRoleProvider};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_types::SdkConfig;

use crate::{AwsSettings, Error};

/// Loads credentials and region as the AWS CLI would, with the settings on top.
///
/// # Errors
/// None at present: what is missing shows at the first call, as [`crate::ErrorKind::Credentials`].
pub async fn load_sdk_config(settings: &AwsSettings) -> Result<SdkConfig, Error> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .use_fips(settings.use_fips)
        .use_dual_stack(settings.use_dual_stack);
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &settings.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if settings.config_file.is_some() || settings.credentials_file.is_some() {
        loader = loader.profile_files(profile_files(settings));
    }
    if let Some(fixed) = &settings.credentials {
        loader = loader.credentials_provider(Credentials::from_keys(
            &fixed.access_key_id,
            &fixed.secret_access_key,
            None,
        ));
    }
    // Boxed: its future is large, and would be part of everybody's who waits for it.
    let config = Box::pin(loader.load()).await;
    let Some(role) = &settings.assume_role else {
        return Ok(config);
    };
    let mut provider = AssumeRoleProvider::builder(&role.role_arn)
        .session_name(role.session_name.as_deref().unwrap_or("flowlake"))
        .configure(&config);
    if let Some(external_id) = &role.external_id {
        provider = provider.external_id(external_id);
    }
    if let Some(length) = role.session_length {
        provider = provider.session_length(length);
    }
    if !role.session_tags.is_empty() {
        provider = provider.tags(role.session_tags.iter());
    }
    let provider = SharedCredentialsProvider::new(Box::pin(provider.build()).await);
    Ok(config.into_builder().credentials_provider(provider).build())
}

/// The files that the settings name, the usual ones where they name none.
fn profile_files(settings: &AwsSettings) -> EnvConfigFiles {
    let files = EnvConfigFiles::builder();
    let files = match &settings.config_file {
        Some(path) => files.with_file(EnvConfigFileKind::Config, path),
        None => files.include_default_config_file(true),
    };
    match &settings.credentials_file {
        Some(path) => files.with_file(EnvConfigFileKind::Credentials, path),
        None => files.include_default_credentials_file(true),
    }
    .build()
}

/// A client for S3.
#[must_use]
pub fn s3_client(config: &SdkConfig, settings: &AwsSettings) -> aws_sdk_s3::Client {
    let mut builder =
        aws_sdk_s3::config::Builder::from(config).force_path_style(settings.path_style);
    if let Some(url) = &settings.s3_endpoint_url {
        builder = builder.endpoint_url(url);
    }
    aws_sdk_s3::Client::from_conf(builder.build())
}

/// A client for IAM.
#[must_use]
pub fn iam_client(config: &SdkConfig, _settings: &AwsSettings) -> aws_sdk_iam::Client {
    aws_sdk_iam::Client::new(config)
}

/// A client for STS.
#[must_use]
pub fn sts_client(config: &SdkConfig, _settings: &AwsSettings) -> aws_sdk_sts::Client {
    aws_sdk_sts::Client::new(config)
}
