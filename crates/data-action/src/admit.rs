//! The first step: checks whether the request may be answered, before S3 is asked for anything. Binds the parameters, resolves the
//! locations, and asks the policy and IAM.

use std::sync::Arc;

use flowlake_profiler::Phase;
use flowlake_transform::{BoundParams, TableLocation};

use crate::{
    Action, ActionError, ActionRequest, ErrorCode, access, attempt::Attempt, ledger::Ledger,
    services::Services,
};

/// A request that passed all checks which need no metadata of objects.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) action: Arc<Action>,
    pub(crate) bound: BoundParams,
    pub(crate) locations: Vec<TableLocation>,
}

pub(crate) async fn admit(
    services: &Services,
    ledger: &Ledger,
    attempt: &Attempt,
    request: &ActionRequest,
) -> Result<Admitted, ActionError> {
    if let Some(denied) = &request.denied {
        return Err(denied.clone());
    }
    if let Some(object) = &request.output.object {
        attempt.draft().record.destination = Some(object.to_string());
        services.policy.check_write(object)?;
    }
    let action = services.asked(request)?;
    let bound = action.prepared.bind(&request.params, attempt.started_at)?;
    attempt.draft().record.params = ledger.params(&bound);
    let locations = action.prepared.locations(&bound)?;
    check_policy(services, attempt, &locations)?;
    if action.definition.genesys_token {
        let token = Box::pin(require_genesys_token(services));
        attempt.phase(Phase::Auth, token).await?;
    }
    let access = check_iam(services, attempt, &locations);
    attempt.phase(Phase::Access, access).await?;
    Ok(Admitted {
        action,
        bound,
        locations,
    })
}

/// Admits the reload of hot tables. Their parameters were bound by the request that first loaded them.
pub(crate) async fn admit_reload(
    services: &Services,
    attempt: &Attempt,
    locations: &[TableLocation],
) -> Result<(), ActionError> {
    check_policy(services, attempt, locations)?;
    let access = check_iam(services, attempt, locations);
    attempt.phase(Phase::Access, access).await
}

/// Checks the locations against the policy, and keeps them for the record.
fn check_policy(
    services: &Services,
    attempt: &Attempt,
    locations: &[TableLocation],
) -> Result<(), ActionError> {
    let wanted = locations.iter().map(|table| table.location.clone());
    attempt.draft().wanted = wanted.collect();
    locations
        .iter()
        .try_for_each(|table| services.policy.check(&table.location))
}

/// Determines the principal, and asks IAM whether it may read or list each location on S3.
async fn check_iam(
    services: &Services,
    attempt: &Attempt,
    locations: &[TableLocation],
) -> Result<(), ActionError> {
    // For files of this machine, the operating system decides.
    let mut of_s3 = locations.iter().filter(|table| !table.location.is_local());
    let Some(first) = of_s3.next() else {
        return Ok(());
    };
    let identity = services.access.identity().await?;
    attempt.draft().record.principal = Some(identity.arn.clone());
    for table in std::iter::once(first).chain(of_s3) {
        access::location(&services.access, &table.location, attempt.note()).await?;
    }
    Ok(())
}

async fn require_genesys_token(services: &Services) -> Result<(), ActionError> {
    let source = services.genesys.as_ref().ok_or_else(|| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            "the action needs a Genesys Cloud token, and [genesys] is not configured",
            "Add [genesys] with region, client_id and client_secret to flowlake.toml.",
        )
    })?;
    source.token().await?;
    Ok(())
}
