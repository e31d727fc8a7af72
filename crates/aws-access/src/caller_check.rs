//! Whether AWS accepts our credentials, and what time it is there: the first lines of `flowlake doctor`.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_sts::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::BeforeDeserializationInterceptorContextRef,
    },
    error::BoxError,
};
use aws_smithy_types::{DateTime, date_time::Format};

use crate::Error;

/// What one `sts:GetCallerIdentity` told.
#[derive(Debug)]
pub struct CallerCheck {
    /// The caller's ARN, or why AWS does not accept the credentials.
    pub arn: Result<String, Error>,
    /// The time of AWS's first answer, in seconds since 1970, from its `Date` header; `None` when there was no answer.
    ///
    /// The SDK corrects a wrong clock by this time once, so that a request may pass and the clock be wrong all the same.
    pub server_unix_seconds: Option<i64>,
}

/// Asks.
pub(crate) async fn check_caller(sts: &Client) -> CallerCheck {
    let seen = Arc::new(Mutex::new(None));
    let answer = sts
        .get_caller_identity()
        .customize()
        .interceptor(DateOfAnswer(Arc::clone(&seen)))
        .send()
        .await;
    let server_unix_seconds = *seen.lock().unwrap_or_else(PoisonError::into_inner);
    CallerCheck {
        arn: answer
            .map(|caller| caller.arn.unwrap_or_default())
            .map_err(|error| Error::from_sdk("sts:GetCallerIdentity", error)),
        server_unix_seconds,
    }
}

/// Notes the `Date` of the first answer, refused or not.
#[derive(Debug)]
struct DateOfAnswer(Arc<Mutex<Option<i64>>>);

impl Intercept for DateOfAnswer {
    fn name(&self) -> &'static str {
        "DateOfAnswer"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = seen.or(date.map(|date| date.secs()));
        Ok(())
    }
}
