//! The bucket policy, which takes part in the simulation as the resource policy.

use aws_sdk_s3::{Client, error::ProvideErrorMetadata};
use serde_json::Value;

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
    /// The bucket belongs to another account, which alone can read the policy.
    OtherAccount,
    /// S3 did not answer; not kept, and the read itself will say so.
    Unreachable,
}

/// Asks S3 for it.
///
/// 405 is S3's answer to a caller of another account than the bucket's, whatever its permissions (API reference of
/// `GetBucketPolicy`).
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
            (Some("MethodNotAllowed"), _) | (_, Some(405)) => Ok(BucketPolicy::OtherAccount),
            (Some("AccessDenied" | "NotImplemented"), _) | (_, Some(403 | 501)) => {
                Ok(BucketPolicy::Unreadable)
            }
            (_, None) => Ok(BucketPolicy::Unreachable),
            _ => Err(Error::from_sdk("s3:GetBucketPolicy", error)),
        },
    }
}

/// The `Sid`s of a policy's Deny statements, `statement N` for those without one.
pub(crate) fn deny_statements(policy: &str) -> Vec<String> {
    let Ok(Value::Object(mut policy)) = serde_json::from_str(policy) else {
        return Vec::new();
    };
    let statements = match policy.remove("Statement") {
        Some(Value::Array(statements)) => statements,
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let named = |(index, statement): (usize, &Value)| {
        (statement["Effect"] == "Deny").then(|| match statement["Sid"].as_str() {
            Some(sid) => format!("`{sid}`"),
            None => format!("statement {}", index + 1),
        })
    };
    statements.iter().enumerate().filter_map(named).collect()
}

/// The `Sid` of the statement that begins at a line (from 1) and column of a policy's text.
pub(crate) fn statement_at(policy: &str, line: i32, column: i32) -> Option<String> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let start: usize = policy.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = policy.get(start + usize::try_from(column).ok()?..)?;
    // IAM points at the statement's brace, or just before or behind it.
    let brace = rest.find('{')?;
    let mut statements = serde_json::Deserializer::from_str(&rest[brace..]).into_iter::<Value>();
    let statement = statements.next()?.ok()?;
    statement["Sid"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{deny_statements, statement_at};

    const POLICY: &str = "{\"Statement\": [\n  {\"Sid\": \"Read\", \"Effect\": \"Allow\"},\n  {\"Sid\": \"OnlyTls\", \"Effect\": \"Deny\"},\n  {\"Effect\": \"Deny\"}]}";

    #[test]
    fn statements_are_found_by_place_and_effect() {
        assert_eq!(statement_at(POLICY, 3, 2).as_deref(), Some("OnlyTls"));
        assert_eq!(statement_at(POLICY, 2, 1).as_deref(), Some("Read"));
        assert_eq!(statement_at(POLICY, 4, 2), None);
        assert_eq!(statement_at(POLICY, 9, 0), None);
        assert_eq!(deny_statements(POLICY), ["`OnlyTls`", "statement 3"]);
        assert!(deny_statements("no policy").is_empty());
    }
}
