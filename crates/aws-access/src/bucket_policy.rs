//! The bucket policy, which takes part in the simulation as the resource policy.

use aws_sdk_s3::{Client, error::ProvideErrorMetadata};

use crate::Error;

/// What is known of a bucket's policy.
#[derive(Debug, Clone)]
pub(crate) enum BucketPolicy {
    /// The policy's text.
    Text(String),
    /// The bucket has none.
    None,
    /// We may not read it.
    Unreadable,
    /// S3 did not answer; not kept, and the read itself will say so.
    Unreachable,
}

pub(crate) async fn bucket_policy(s3: &Client, bucket: &str) -> Result<BucketPolicy, Error> {
    match s3.get_bucket_policy().bucket(bucket).send().await {
        Ok(output) => Ok(output.policy.map_or(BucketPolicy::None, BucketPolicy::Text)),
        Err(error) => match (
            error.code(),
            error
                .raw_response()
                .map(|response| response.status().as_u16()),
        ) {
            // A missing bucket has no policy either; that it is missing shows when it is read.
            (Some("NoSuchBucketPolicy" | "NoSuchBucket"), _) => Ok(BucketPolicy::None),
            (Some("AccessDenied" | "MethodNotAllowed" | "NotImplemented"), _)
            | (_, Some(403 | 405 | 501)) => Ok(BucketPolicy::Unreadable),
            (_, None) => Ok(BucketPolicy::Unreachable),
            _ => Err(Error::from_sdk("s3:GetBucketPolicy", error)),
        },
    }
}
