//! `[genesys]` of an action file: how the action is published as a Genesys Cloud data action.

use schemars::JsonSchema;
use serde::Deserialize;

/// `[genesys]` of an action file. With this section, `flowlake check` holds the action to the rules of data actions.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataActionSettings {
    /// How the rows become outputs of the data action. Left out, the SQL decides: `first-row` for `LIMIT 1` and for an
    /// aggregate without GROUP BY, `rows` otherwise.
    pub shape: Option<FlowShape>,
    /// Whether the platform keeps inputs and outputs out of its logs.
    pub secure: bool,
}

/// How rows become the outputs of a data action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlowShape {
    /// The columns of the first row, and whether there is one.
    FirstRow,
    /// One list for each column.
    Columns,
    /// One list of objects.
    Rows,
}
