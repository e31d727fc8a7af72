//! `flowlake check`: what would happen, told without running an action's query.

use std::sync::Arc;

use flowlake_aws_access::Decision;
use flowlake_transform::{Prepared, Run, TableInfo, TableLocation};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    Action, ActionError, AnswerColumn, AnswerColumns, access,
    find::{Found, LeftOut, find_in},
    plan::ReadPlan,
    services::Services,
    stores::RequestStores,
};

/// What checking one action found.
#[derive(Debug)]
pub struct ActionCheck {
    /// The action's name.
    pub action: String,
    /// Each table's location, or why the locations are not known.
    pub tables: Result<Vec<TableCheck>, ActionError>,
    /// The columns of the answer, or why the SQL cannot be planned over the present files.
    pub columns: Option<Result<AnswerColumns, ActionError>>,
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
    /// What IAM said, question by question, up to the first denial: about the listing and the objects that it found, or about a
    /// single object, its version and its key.
    pub decisions: Vec<Arc<Decision>>,
    /// Objects that are left out of the table, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// How many objects are left out.
    #[serde(skip_serializing_if = "LeftOut::is_nothing")]
    pub left_out: LeftOut,
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

/// See [`crate::Inspector::check`].
pub(super) async fn check(
    services: &Services,
    action: &str,
    params: &Map<String, Value>,
) -> Result<ActionCheck, ActionError> {
    let action = Arc::clone(services.action(action)?);
    let bound = action.prepared.bind_to_plan(params, services.clock.now());
    let located = bound.and_then(|bound| {
        let locations = action.prepared.locations(&bound)?;
        Ok((bound, locations))
    });
    let (bound, locations) = match located {
        Ok(located) => located,
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
    let mut found = Vec::with_capacity(locations.len());
    for location in &locations {
        let prepared = &action.prepared;
        let (table, at) = check_table(services, prepared, location, &stores).await;
        tables.push(table);
        found.extend(at);
    }
    let (mut columns, mut index) = (None, Ok(Vec::new()));
    if found.len() == locations.len() {
        let prepared = &action.prepared;
        match ReadPlan::try_new(prepared, found) {
            Ok(plan) => {
                let run = Run {
                    prepared,
                    bound: &bound,
                    files: &plan.files,
                    stores: &stores,
                };
                let found = look_into(services, &action, &run, &mut tables).await;
                (columns, index) = (Some(found.0), found.1);
            }
            Err(error) => columns = Some(Err(error)),
        }
    }
    Ok(ActionCheck {
        action: action.name().to_owned(),
        tables: Ok(tables),
        columns,
        index,
    })
}

/// What the files of readable tables are, which columns the answer has, and which index a hot action lacks.
async fn look_into(
    services: &Services,
    action: &Action,
    run: &Run<'_>,
    tables: &mut [TableCheck],
) -> (
    Result<AnswerColumns, ActionError>,
    Result<Vec<String>, ActionError>,
) {
    // Why a table is not known is the error of planning, below.
    for info in services.engine.tables(run).await.unwrap_or_default() {
        let table = tables.iter_mut().find(|table| table.table == info.table);
        if let Some(table) = table {
            table.detected = Some(info);
        }
    }
    let columns = match services.engine.output(run).await {
        Ok(output) => AnswerColumns {
            columns: AnswerColumn::of(&output.schema),
            at_most_one_row: output.max_rows.is_some_and(|rows| rows <= 1),
        },
        Err(error) => {
            let error = action.definition.locate(error.into());
            return (Err(error), Ok(Vec::new()));
        }
    };
    let index = match &action.hot {
        Some(query) => services.engine.propose_index(query, run).await,
        None => Ok(Vec::new()),
    };
    (Ok(columns), index.map_err(ActionError::from))
}

/// Whether one table's location may be read, and what is there.
pub(super) async fn check_table(
    services: &Services,
    prepared: &Prepared,
    table: &TableLocation,
    stores: &RequestStores,
) -> (TableCheck, Option<Found>) {
    let location = &table.location;
    let mut check = TableCheck {
        table: table.table.clone(),
        location: location.to_string(),
        bucket: location.bucket().to_owned(),
        size: None,
        decisions: Vec::new(),
        warning: None,
        left_out: LeftOut::default(),
        detected: None,
        error: None,
    };
    match fill(services, &mut check, prepared, table, stores).await {
        Ok(found) => (check, Some(found)),
        Err(error) => {
            check.error = Some(error);
            (check, None)
        }
    }
}

/// Asks policy, IAM and S3, in the order of an attempt, up to the first no.
async fn fill(
    services: &Services,
    check: &mut TableCheck,
    prepared: &Prepared,
    table: &TableLocation,
    stores: &RequestStores,
) -> Result<Found, ActionError> {
    services.policy.check(&table.location)?;
    let note = |decision| check.decisions.push(decision);
    if !table.location.is_local() {
        access::location(&services.access, &table.location, note).await?;
    }
    let found = find_in(stores, &services.policy, prepared, table).await?;
    check.size = found.named.as_ref().map(|object| object.size);
    check.warning = found.warning();
    check.left_out = found.left_out();
    let note = |decision| check.decisions.push(decision);
    access::found(&services.access, &found, note).await?;
    Ok(found)
}
