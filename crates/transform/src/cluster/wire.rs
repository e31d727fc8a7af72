//! How a scan is written: the engine's own message for a scan of files, and beside it what the engine does not know.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{Field, Schema, TimeUnit},
    common::{DataFusionError, Result},
};
use datafusion_proto::protobuf::{self, FileScanExecConf, PhysicalExprNode};
use object_store::ObjectMeta;
use prost::Message;
use serde_json::json;

use crate::{ColumnType, Columns, HeaderKind, OnError, TableSpec};

/// What files count, in the metadata of a declared column that is a moment.
const EPOCH: &str = "epoch";

/// A scan.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ScanMessage {
    /// Groups of files, columns, projection, order.
    #[prost(message, optional, tag = "1")]
    pub(super) scan: Option<FileScanExecConf>,
    /// Rows after which reading may end. The engine's own field has 32 bits.
    #[prost(uint64, optional, tag = "2")]
    pub(super) limit: Option<u64>,
    /// The versions of the files, in the order of the groups. The engine's own message leaves them out.
    #[prost(message, repeated, tag = "3")]
    pub(super) versions: Vec<VersionMessage>,
    /// Conditions that rows are left out by while they are read.
    #[prost(message, repeated, tag = "4")]
    pub(super) filters: Vec<PhysicalExprNode>,
    /// The table as it is declared, without columns and types.
    #[prost(string, tag = "5")]
    pub(super) table: String,
    /// Declared columns.
    #[prost(message, optional, tag = "6")]
    pub(super) columns: Option<protobuf::Schema>,
    /// Declared types of single columns.
    #[prost(message, optional, tag = "7")]
    pub(super) types: Option<protobuf::Schema>,
    /// Whether the engine's own reader of Parquet reads it, and applies the conditions itself.
    #[prost(message, optional, tag = "8")]
    pub(super) parquet: Option<ParquetMessage>,
    /// Whether the rows of a group have to keep their order.
    #[prost(bool, tag = "9")]
    pub(super) preserve_order: bool,
}

/// The version of a file.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub(super) struct VersionMessage {
    #[prost(string, optional, tag = "1")]
    pub(super) e_tag: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(super) version: Option<String>,
}

/// What only a scan of Parquet has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub(super) struct ParquetMessage {
    /// Whether conditions are applied row by row, and not only to groups of rows.
    #[prost(bool, tag = "1")]
    pub(super) filters_rows: bool,
}

impl VersionMessage {
    pub(super) fn of(file: &ObjectMeta) -> Self {
        Self {
            e_tag: file.e_tag.clone(),
            version: file.version.clone(),
        }
    }
}

impl ScanMessage {
    /// Writes how the table is declared.
    pub(super) fn declare(&mut self, spec: &TableSpec) -> Result<()> {
        // All fields by name: one more is a decision about how it travels.
        let TableSpec {
            uri,
            format,
            compression,
            encoding,
            header,
            header_lines,
            skip_lines,
            footer_lines,
            delimiter,
            quote,
            trim,
            escape,
            comment,
            null_values,
            json_pointer,
            columns,
            types,
            partitions: _, // They are columns of the scan already.
            max_files,
            on_error,
            infer_rows,
            infer_files,
        } = spec;
        self.table = json!({
            "uri": uri,
            "format": format.map(|format| format.to_string()),
            "compression": compression.map(|compression| compression.to_string()),
            "encoding": encoding,
            "header": header.map(|header| match header {
                HeaderKind::Names => json!(true),
                HeaderKind::None => json!(false),
                HeaderKind::Skip => json!("skip"),
            }),
            "header_lines": header_lines,
            "skip_lines": skip_lines,
            "footer_lines": footer_lines,
            "delimiter": delimiter,
            "quote": quote.0.map_or_else(String::new, String::from),
            "trim": trim,
            "escape": escape,
            "comment": comment,
            "null_values": null_values,
            "json_pointer": json_pointer,
            "max_files": max_files,
            "on_error": match on_error {
                OnError::Fail => "fail",
                OnError::Null => "null",
                OnError::Skip => "skip",
            },
            "infer_rows": infer_rows,
            "infer_files": infer_files,
        })
        .to_string();
        let declared = columns.as_ref().map(|columns| schema(columns.iter()));
        self.columns = declared.transpose()?;
        if !types.is_empty() {
            self.types = Some(schema(types.iter())?);
        }
        Ok(())
    }

    /// How the table is declared.
    pub(super) fn declared(&self) -> Result<TableSpec> {
        let spec = serde_json::from_str(&self.table);
        let mut spec: TableSpec = spec.map_err(|error| {
            DataFusionError::Internal(format!("a table that cannot be read: {error}"))
        })?;
        if let Some(columns) = &self.columns {
            spec.columns = Some(typed(columns)?.into_iter().collect::<Columns>());
        }
        if let Some(types) = &self.types {
            spec.types = typed(types)?.into_iter().collect();
        }
        Ok(spec)
    }
}

fn schema<'a>(
    columns: impl Iterator<Item = (&'a String, &'a ColumnType)>,
) -> Result<protobuf::Schema> {
    let fields = columns.map(|(name, kind)| {
        let field = Field::new(name, kind.kind.clone(), true);
        match kind.epoch {
            Some(unit) => field.with_metadata([(EPOCH.to_owned(), format!("{unit:?}"))].into()),
            None => field,
        }
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    Ok((&schema).try_into()?)
}

fn typed(schema: &protobuf::Schema) -> Result<Vec<(String, ColumnType)>> {
    let schema: Schema = schema.try_into()?;
    let units = [
        TimeUnit::Second,
        TimeUnit::Millisecond,
        TimeUnit::Microsecond,
        TimeUnit::Nanosecond,
    ];
    let fields = schema.fields().iter().map(|field| {
        let epoch = field.metadata().get(EPOCH);
        let epoch = epoch.and_then(|name| {
            let mut units = units.iter();
            units.find(|unit| format!("{unit:?}") == *name).copied()
        });
        let kind = ColumnType {
            kind: field.data_type().clone(),
            epoch,
        };
        (field.name().clone(), kind)
    });
    Ok(fields.collect())
}

/// A file of the version that the coordinator found.
pub(super) fn pinned(file: ObjectMeta, version: VersionMessage) -> ObjectMeta {
    ObjectMeta {
        e_tag: version.e_tag,
        version: version.version,
        ..file
    }
}

/// What cannot be decoded, though both sides are of one build.
pub(super) fn broken(what: &str) -> DataFusionError {
    DataFusionError::Internal(format!("a scan without {what} came from the coordinator"))
}

/// One of these is behind each scan that is decoded.
pub(super) type Filters = Vec<Arc<dyn datafusion::physical_plan::PhysicalExpr>>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::ScanMessage;
    use crate::TableSpec;

    #[test]
    fn a_table_arrives_as_it_was_declared() {
        let declared = [
            json!({ "uri": "s3://b/k" }),
            json!({
                "uri": ["s3://b/k", "s3://b/l/*"], "format": "tsv", "compression": "gzip", "encoding": "utf-16le",
                "header": "skip", "header_lines": 2, "skip_lines": 3, "footer_lines": 1, "delimiter": "||", "quote": "",
                "trim": true, "escape": "\\", "comment": "#", "null_values": ["", "NULL"], "max_files": 7,
                "on_error": "skip", "infer_rows": 5, "infer_files": 6,
                "columns": [["b", "decimal(12, 2)"], ["a", "string"], { "name": "t", "type": "timestamptz", "unit": "ms" }],
            }),
            json!({
                "uri": "s3://b/k", "format": "json", "json_pointer": "/entities", "header": false, "on_error": "null",
                "quote": "'", "types": { "t": { "type": "timestamp", "unit": "s" }, "l": "List(Int64)" },
            }),
        ];
        for declared in declared {
            let spec: TableSpec = serde_json::from_value(declared).unwrap();
            let mut message = ScanMessage::default();
            message.declare(&spec).unwrap();
            let arrived = message.declared().unwrap();
            assert_eq!(format!("{arrived:?}"), format!("{spec:?}"));
        }
    }
}
