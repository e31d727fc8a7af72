//! What `lambda_runtime` does not send to the runtime API: why the function cannot start.

use flowlake_data_action::{ActionError, Environment};
use lambda_runtime::Diagnostic;

use crate::function::message;

/// Posts the failure to `/runtime/init/error` (AWS Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes").
///
/// # Errors
/// When the runtime API cannot be reached or refuses the report.
pub(crate) async fn report_failed_start(
    variables: &dyn Environment,
    error: &ActionError,
) -> Result<(), reqwest::Error> {
    let address = variables.get("AWS_LAMBDA_RUNTIME_API").unwrap_or_default();
    let diagnostic = Diagnostic {
        error_type: error.code().as_str().to_owned(),
        error_message: message(error, None),
    };
    // The address is one of the environment itself: no proxy knows it.
    let client = reqwest::Client::builder().no_proxy().build()?;
    client
        .post(format!("http://{address}/2018-06-01/runtime/init/error"))
        .header("Lambda-Runtime-Function-Error-Type", &diagnostic.error_type)
        .json(&diagnostic)
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}
