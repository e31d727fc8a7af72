//! Hot tables: files decoded once, indexed, kept in bounded memory, and watched for new versions.

mod budget;
mod cache;
mod index;
mod load;
mod lookup;
mod propose;
mod provider;
mod query;
mod run;
mod settings;
mod table;
mod template;

pub use self::{
    cache::{
        HotClock, HotQueryStatus, HotSource, HotStatus, HotTables, HotTablesBuilder, HotView,
        Reload,
    },
    query::HotQuery,
    run::HotRows,
    settings::{HotSettings, OnNoRoom},
};
