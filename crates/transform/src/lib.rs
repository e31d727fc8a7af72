#![doc = include_str!("../README.md")]

mod asked_plan;
#[cfg(feature = "cluster")]
pub mod cluster;
mod columns;
mod comparisons;
mod decimals;
mod encode;
mod engine;
mod error;
mod explain;
mod files;
mod files_table;
mod formats;
mod functions;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod hot;
pub mod json;
mod json_schema;
mod kept_text;
mod limits;
mod location;
mod marked;
mod memory;
mod moments;
mod most_rows;
mod named;
mod params;
mod prepared;
mod row_stream;
mod scan;
mod scan_store;
mod schema;
mod sent_name;
mod session;
mod settings;
mod sizes;
mod source;
mod statement;
mod stop;
mod summary;
mod table;
mod too_large;
mod untyped;
mod uri;
mod writable;
mod yielding;

pub use columns::{ColumnType, Columns};
/// The Arrow that rows come in: callers use this one, so that there is one of it.
pub use datafusion::arrow;
pub use encode::{RowEncoder, RowFormat, TextValues};
pub use engine::{EngineUsage, Output, Run, StoreResolver, Transform, TransformBuilder};
pub use error::{BoxError, Error, ErrorKind, Place};
pub use explain::{Explanation, ScanExplanation, StageExplanation, Step, StepRun};
pub use files::{FileCollector, Files, TableFiles};
pub use formats::misfit::{Problem, Problems, Written};
pub use hot::{
    HotClock, HotQuery, HotQueryStatus, HotRows, HotSettings, HotSource, HotStatus, HotTables,
    HotTablesBuilder, HotView, OnNoRoom, Reload,
};
pub use limits::Limits;
pub use location::{KeyPattern, LOCAL_FILES, Location};
pub use params::{BoundParams, BoundValue, ParamSpec, ParamType};
pub use prepared::{Prepared, TableLocation, TransformSpec};
pub use row_stream::{RowStream, RunProbe, RunStats};
pub use scan::inspect::Evidence;
pub use schema::type_name;
pub use sent_name::sent_name;
pub use settings::TransformSettings;
pub use source::TableInfo;
pub use statement::{LONGEST_SQL, table_name};
pub use summary::{ColumnSummary, Quantile, Summariser, Summary, TextSummary, TopValue};
pub use table::{Compression, Format, HeaderKind, OnError, Quote, TableSpec};
pub use uri::Reach;
