//! `flowlake explain`: what an action would do, told without running its query.

use std::sync::Arc;

use flowlake_transform::{Explanation, Run, StageExplanation};
use serde::Serialize;
use serde_json::{Map, Value};

use super::check::check_table;
use crate::{
    ActionError, plan::ReadPlan, services::Services, stores::RequestStores, workers::stages,
};

/// What an action would do.
#[derive(Debug, Serialize)]
pub struct ActionExplanation {
    /// The action's name.
    pub action: String,
    /// What it is for.
    pub description: String,
    /// Where its tables are: name and location, with parameters filled in.
    pub locations: Vec<(String, String)>,
    /// What the engine would do.
    #[serde(flatten)]
    pub explanation: Explanation,
    /// How workers of `[cluster]` would divide it; empty where this machine does all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<StageExplanation>,
    /// Rows that the answer may have; more are cut off.
    pub max_rows: u64,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
}

/// See [`crate::Inspector::explain`].
pub(super) async fn explain(
    services: &Services,
    action: &str,
    params: &Map<String, Value>,
) -> Result<ActionExplanation, ActionError> {
    let action = Arc::clone(services.action(action)?);
    let bound = action.prepared.bind(params, services.clock.now())?;
    let stores = RequestStores::new(Arc::clone(&services.s3));
    let tables = action.prepared.locations(&bound)?;
    let prepared = &action.prepared;
    let (mut locations, mut found) = (Vec::new(), Vec::new());
    for table in &tables {
        let (check, at) = check_table(services, prepared, table, &stores).await;
        if let Some(error) = check.error {
            return Err(error);
        }
        locations.push((check.table, check.location));
        found.extend(at);
    }
    let plan = ReadPlan::try_new(prepared, found)?;
    let run = Run {
        prepared,
        bound: &bound,
        files: &plan.files,
        stores: &stores,
    };
    let explanation = services.engine.explain(&run).await;
    let explanation = explanation.map_err(|error| action.definition.locate(error.into()))?;
    let workers = services
        .workers
        .engine(&services.engine, &action, plan.size().bytes)?;
    let stages = stages(workers.as_ref(), &run).await?;
    let limits = action.prepared.limits();
    Ok(ActionExplanation {
        action: action.name().to_owned(),
        description: action.definition().description.clone(),
        locations,
        explanation,
        stages,
        max_rows: limits.max_rows,
        timeout_ms: u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX),
    })
}
