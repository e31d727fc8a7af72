//! `flowlake check`: what would happen, told without running an action's query.

use std::sync::Arc;

use flowlake_aws_access::Decision;
use flowlake_transform::{Location, TableInfo, TableLocation};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    ActionError, Inspector,
    pipeline::attempt::{access_requests, denied, object_requests},
    services::Services,
    stores::RequestStores,
};

/// What checking one action found.
#[derive(Debug)]
pub struct ActionCheck {
    /// The action's name.
    pub action: String,
    /// Each table's location, or why the locations cannot be told.
    pub tables: Result<Vec<TableCheck>, ActionError>,
    /// The columns of the answer with their types, or why the SQL cannot be planned over the present files.
    pub columns: Option<Result<Vec<(String, String)>, ActionError>>,
    /// Columns that a hot action should have in its `index`, since its SQL asks for rows by them and no index helps; or why its
    /// `index` cannot be used.
    pub index: Result<Vec<String>, ActionError>,
}

/// What checking one table found.
#[derive(Debug, Serialize)]
pub struct TableCheck {
    /// The table's name.
    pub table: String,
    /// `s3://bucket/key`, with parameters filled in.
    pub location: String,
    /// The bucket.
    pub bucket: String,
    /// Size in bytes of a single object; `None` for prefixes.
    pub size: Option<u64>,
    /// What IAM said, question by question, up to the first denial; for a single object also about its version and its key.
    pub decisions: Vec<Arc<Decision>>,
    /// What its files are and which columns they have, once all tables can be read; at the first uri of a table.
    pub detected: Option<TableInfo>,
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

impl Inspector {
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
        let services = self.services();
        let action = Arc::clone(services.action(action)?);
        let bound = match action.prepared.bind(params, services.clock.now()) {
            Ok(bound) => bound,
            Err(error) => {
                return Ok(ActionCheck {
                    action: action.name().to_owned(),
                    tables: Err(error.into()),
                    columns: None,
                    index: Ok(Vec::new()),
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
                    index: Ok(Vec::new()),
                });
            }
        };
        let stores = RequestStores::new(Arc::clone(&services.s3));
        let mut tables = Vec::with_capacity(locations.len());
        for location in &locations {
            tables.push(services.check_table(location, &stores).await);
        }
        let readable = tables.iter().all(|table| table.error.is_none());
        let columns = if readable {
            // Why a table cannot be told is the error of planning, below.
            let found = services
                .engine
                .tables(&action.prepared, &bound, &stores)
                .await;
            for info in found.unwrap_or_default() {
                let table = tables.iter_mut().find(|table| table.table == info.table);
                if let Some(table) = table {
                    table.detected = Some(info);
                }
            }
            let schema = services
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
        let mut index = Ok(Vec::new());
        if let (Some(query), Some(Ok(_))) = (&action.hot, &columns) {
            let proposed = services.engine.propose_index(query, &bound, &stores).await;
            index = proposed.map_err(ActionError::from);
        }
        Ok(ActionCheck {
            action: action.name().to_owned(),
            tables: Ok(tables),
            columns,
            index,
        })
    }
}

impl Services {
    /// Whether one table's location may be read and is there.
    pub(crate) async fn check_table(
        &self,
        table: &TableLocation,
        stores: &RequestStores,
    ) -> TableCheck {
        let location = &table.location;
        let mut check = TableCheck {
            table: table.table.clone(),
            location: location.to_string(),
            bucket: location.bucket().to_owned(),
            size: None,
            decisions: Vec::new(),
            detected: None,
            error: None,
        };
        check.error = self.fill(&mut check, location, stores).await.err();
        check
    }

    /// Asks policy, IAM, S3 and the key, in the order of an attempt, up to the first no.
    async fn fill(
        &self,
        check: &mut TableCheck,
        location: &Location,
        stores: &RequestStores,
    ) -> Result<(), ActionError> {
        self.policy.check(location)?;
        for request in access_requests(location) {
            let decision = self.access.check(&request).await?;
            check.decisions.push(Arc::clone(&decision));
            if !decision.allowed {
                return Err(denied(&decision));
            }
        }
        let Some(path) = location.path() else {
            return Ok(());
        };
        let object = stores.view(location.bucket())?.metadata(path).await?;
        check.size = Some(object.size);
        for request in object_requests(location.bucket(), &object) {
            let decision = self.access.check(&request).await?;
            check.decisions.push(Arc::clone(&decision));
            if !decision.allowed {
                return Err(denied(&decision));
            }
        }
        Ok(())
    }
}
