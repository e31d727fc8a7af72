//! What a query can reach: the tables and stores of its session, and nothing else.
//!
//! This is the only module that adds one. `DataFusion` has many more ways in (its own SQL entry point, catalogs, files read or
//! written by path); `clippy.toml` disallows them everywhere, so a new one has to give its reason.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place where tables and stores are added to a session"
)]

use std::sync::Arc;

use datafusion::{
    catalog::{MemoryCatalogProviderList, TableProvider},
    common::{Result, TableReference},
    execution::{
        SessionStateBuilder,
        object_store::{DefaultObjectStoreRegistry, ObjectStoreUrl},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    prelude::{SessionConfig, SessionContext},
};
use object_store::ObjectStore;

use crate::{Error, LOCAL_FILES, error::planning, functions, moments, yielding};

/// A session with its own tables, stores and caches, on the memory pool and the spill space of `shared`.
pub(crate) fn open(config: &SessionConfig, shared: &RuntimeEnv) -> Result<SessionContext> {
    let state = builder(config, shared)?.build();
    Ok(SessionContext::new_with_state(state))
}

/// Such a session in the making.
pub(crate) fn builder(config: &SessionConfig, shared: &RuntimeEnv) -> Result<SessionStateBuilder> {
    let builder = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config.clone())
        .with_runtime_env(Arc::new(runtime(shared)?))
        .with_catalog_list(Arc::new(MemoryCatalogProviderList::new()));
    let builder = yielding::register(moments::register(builder));
    Ok(functions::register(builder))
}

/// A session in the making that runs a part of a plan of another process: with these settings and all functions, and no table.
#[cfg(feature = "cluster")]
pub(crate) fn for_task(
    mut builder: SessionStateBuilder,
    config: &SessionConfig,
    shared: &RuntimeEnv,
) -> Result<SessionStateBuilder> {
    let own = config.options();
    let options = builder.config().get_or_insert_default().options_mut();
    options.execution.clone_from(&own.execution);
    options.optimizer.clone_from(&own.optimizer);
    options.sql_parser.clone_from(&own.sql_parser);
    let builder = builder.with_runtime_env(Arc::new(runtime(shared)?));
    Ok(functions::register(builder))
}

/// Adds the store of one scan of such a part.
#[cfg(feature = "cluster")]
pub(crate) fn add_store_of_scan(
    runtime: &RuntimeEnv,
    url: &ObjectStoreUrl,
    store: Arc<dyn ObjectStore>,
) {
    runtime.register_object_store(url.as_ref(), store);
}

fn runtime(shared: &RuntimeEnv) -> Result<RuntimeEnv> {
    let mut runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::clone(&shared.memory_pool))
        .with_object_store_registry(Arc::new(DefaultObjectStoreRegistry::new()))
        .build()?;
    runtime.disk_manager = Arc::clone(&shared.disk_manager);
    Ok(runtime)
}

/// Adds a table under a name without a schema.
pub(crate) fn add_table(
    session: &SessionContext,
    name: &str,
    table: Arc<dyn TableProvider>,
) -> Result<()> {
    session
        .register_table(TableReference::bare(name), table)
        .map(drop)
}

/// Puts another table under a name that there is one of.
pub(crate) fn replace_table(
    session: &SessionContext,
    name: &str,
    table: Arc<dyn TableProvider>,
) -> Result<()> {
    session.deregister_table(TableReference::bare(name))?;
    add_table(session, name, table)
}

/// Adds the store that answers for a bucket.
pub(crate) fn add_store(
    session: &SessionContext,
    bucket: &str,
    store: Arc<dyn ObjectStore>,
) -> Result<(), Error> {
    session.register_object_store(store_url(bucket)?.as_ref(), store);
    Ok(())
}

/// The URL under which a session knows the store of a bucket.
pub(crate) fn store_url(bucket: &str) -> Result<ObjectStoreUrl, Error> {
    if bucket == LOCAL_FILES {
        return Ok(ObjectStoreUrl::local_filesystem());
    }
    ObjectStoreUrl::parse(format!("s3://{bucket}")).map_err(planning)
}
