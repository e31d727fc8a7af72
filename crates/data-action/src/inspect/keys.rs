//! Completion of keys: what a line editor offers for the beginning of a uri.

use std::{collections::BTreeMap, path::Path};

use flowlake_transform::{Limits, Prepared, TableSpec, TransformSpec};
use serde_json::Map;

use crate::{ActionError, ErrorCode, access, services::Services};

/// Characters that are not themselves in a uri.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', '}'];

/// The keys that begin with `prefix`, once the policy and IAM allow to list all of them.
pub(super) async fn keys(
    services: &Services,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<String>, ActionError> {
    if prefix.contains(SPECIAL) {
        return Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            "the beginning of a key has a sign that stands for others",
            "Write the beginning of a key without a pattern.",
        ));
    }
    let table = TableSpec::at(&format!("s3://{bucket}/{prefix}*"));
    let spec = TransformSpec {
        sql: "SELECT 1 FROM keys".to_owned(),
        tables: BTreeMap::from([("keys".to_owned(), table)]),
        params: BTreeMap::new(),
        limits: Limits::default(),
    };
    let prepared = Prepared::ask(spec, Path::new("/"))?;
    let bound = prepared.bind(&Map::new(), services.clock.now())?;
    for table in prepared.locations(&bound)? {
        services.policy.check(&table.location)?;
        access::location(&services.access, &table.location, |_| {}).await?;
    }
    Ok(services.s3.bucket(bucket)?.list_begun(prefix).await?)
}
