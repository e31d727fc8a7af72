//! Hot tables: files decoded once, indexed, kept in bounded memory, and watched for new versions.

mod budget;
mod cache;
mod entry;
mod frequency;
mod index;
mod load;
mod lookup;
mod propose;
mod provider;
mod query;
mod refresh;
mod run;
mod settings;
mod shared;
mod source;
mod status;
mod table;
mod template;
mod view;

pub use self::{
    cache::{HotTables, HotTablesBuilder},
    query::HotQuery,
    run::HotRows,
    settings::{HotSettings, OnNoRoom},
    source::{HotClock, HotSource, Reload},
    status::{HotQueryStatus, HotStatus},
    view::HotView,
};
