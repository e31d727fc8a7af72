//! `flowlake check`: what would happen, told without running an action's query.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{ActionError, Pipeline, stores::RequestStores};

/// What checking one action found.
#[derive(Debug)]
pub struct ActionCheck {
    /// The action's name.
    pub action: String,
    /// Each table's location, or why the locations cannot be told.
    pub tables: Result<Vec<TableCheck>, ActionError>,
    /// The columns of the answer with their types, or why the SQL cannot be planned over the present files.
    pub columns: Option<Result<Vec<(String, String)>, ActionError>>,
}

/// What checking one table found.
#[derive(Debug, Serialize)]
pub struct TableCheck {
    /// The table's name.
    pub table: String,
    /// `s3://bucket/key`, with parameters filled in.
    pub location: String,
    /// Size in bytes of a single object; `None` for prefixes.
    pub size: Option<u64>,
    /// Why the table cannot be read.
    #[serde(serialize_with = "serialize_error")]
    pub error: Option<ActionError>,
}

fn serialize_error<S: serde::Serializer>(
    error: &Option<ActionError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    error
        .as_ref()
        .map(ActionError::to_json)
        .serialize(serializer)
}

impl Pipeline {
    /// Checks one action: locations from `params` (defaults otherwise), policy, IAM, the objects' metadata, and the plan.
    ///
    /// Reads metadata and the head of files, never whole files; writes no audit record since no row is read out.
    ///
    /// # Errors
    /// [`crate::ErrorCode::ActionUnknown`].
    pub async fn check(
        &self,
        action: &str,
        params: &Map<String, Value>,
    ) -> Result<ActionCheck, ActionError> {
        let shared = self.shared();
        let action = Arc::clone(shared.action(action)?);
        let bound = match action.prepared.bind(params, shared.clock.now()) {
            Ok(bound) => bound,
            Err(error) => {
                return Ok(ActionCheck {
                    action: action.name().to_owned(),
                    tables: Err(error.into()),
                    columns: None,
                });
            }
        };
        let locations = match action.prepared.locations(&bound) {
            Ok(locations) => locations,
            Err(error) => {
                return Ok(ActionCheck {
                    action: action.name().to_owned(),
                    tables: Err(error.into()),
                    columns: None,
                });
            }
        };
        let stores = RequestStores::new(Arc::clone(&shared.s3));
        let mut tables = Vec::with_capacity(locations.len());
        for location in &locations {
            let result = shared.check_table(location, &stores).await;
            let (size, error) =
                result.map_or_else(|error| (None, Some(error)), |size| (size, None));
            let url = format!(
                "{}/{}",
                location.store_url.as_str().trim_end_matches('/'),
                location.path
            );
            tables.push(TableCheck {
                table: location.table.clone(),
                location: url,
                size,
                error,
            });
        }
        let readable = tables.iter().all(|table| table.error.is_none());
        let columns = if readable {
            let schema = shared
                .engine
                .output_schema(&action.prepared, &bound, &stores)
                .await
                .map_err(ActionError::from);
            Some(schema.map(|schema| {
                schema
                    .fields()
                    .iter()
                    .map(|field| (field.name().clone(), field.data_type().to_string()))
                    .collect()
            }))
        } else {
            None
        };
        Ok(ActionCheck {
            action: action.name().to_owned(),
            tables: Ok(tables),
            columns,
        })
    }
}
