//! Actions that cannot be read: all are named, and the others work.

use flowlake_data_action::{ErrorCode, Pipeline, Project};
use serde_json::{Map, json};

use crate::support::{CALLER, House, variables};

const NO_TOML: &str = "name = \"no-toml\"\nnonsense";
const NO_SQL: &str = "name = \"no-sql\"\n[tables.t]\nuri = \"s3://lake/exports/customers.csv\"\n[query]\nsql = \"SELEC 1\"\n";

#[tokio::test]
async fn all_are_named_and_none_hides_another() {
    let house = House::build(&[]).await;
    let folder = house.folder.path();
    for (name, text) in [("no-toml", NO_TOML), ("no-sql", NO_SQL)] {
        std::fs::write(folder.join(format!("actions/{name}.toml")), text).unwrap();
    }
    let project = Project::load(folder).unwrap();
    let error = Box::pin(Pipeline::builder(project).build(&variables()))
        .await
        .unwrap_err();
    let message = error.message();
    assert!(
        message.contains("no-toml.toml") && message.contains("no-sql"),
        "{message}"
    );
    let inspector = house.inspector().await;
    let broken: Vec<&str> = inspector.broken().map(|(name, _)| name).collect();
    assert_eq!(broken, ["no-sql", "no-toml"]);
    let error = inspector.check("no-sql", &Map::new()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SqlInvalid);
    let error = inspector.check("no-toml", &Map::new()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConfigInvalid);
    let params = json!({ "ani": CALLER });
    let found = Box::pin(inspector.check("look-up", params.as_object().unwrap())).await;
    assert!(found.unwrap().columns.unwrap().is_ok());
}
