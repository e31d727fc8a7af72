//! Why a plan failed: a value of the request, the SQL, or a file.

use datafusion::{
    common::{DataFusionError, ParamValues},
    execution::SessionState,
    logical_expr::LogicalPlan,
    prelude::SessionContext,
};

use crate::{
    Error, ErrorKind,
    error::{computation_error, running},
    guard,
};

/// A plan and what it was made of, to find out why it fails. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AskedPlan {
    pub(crate) session: SessionContext,
    /// With parameters in place of their values.
    pub(crate) unbound: LogicalPlan,
    pub(crate) values: ParamValues,
    pub(crate) logical: LogicalPlan,
}

impl AskedPlan {
    /// Why it failed while it ran: a value of the request, the SQL, or a file.
    pub(crate) fn told(&self, error: DataFusionError) -> Error {
        #[cfg(feature = "cluster")]
        if let Some(told) = crate::cluster::arrived(&error) {
            return of_request(told, &self.unbound, &self.values, || self.session.state());
        }
        let told = computation_error(&self.logical, &error).unwrap_or_else(|| running(error));
        of_request(told, &self.unbound, &self.values, || self.session.state())
    }
}

/// The error of a value of the request, where that is why the SQL cannot be computed.
pub(crate) fn of_request(
    told: Error,
    unbound: &LogicalPlan,
    values: &ParamValues,
    state: impl FnOnce() -> SessionState,
) -> Error {
    let is_of_sql = matches!(
        told.kind(),
        ErrorKind::InvalidSql | ErrorKind::NotComputable
    );
    let has_values = !matches!(values, ParamValues::Map(values) if values.is_empty());
    let refused =
        (is_of_sql && has_values).then(|| guard::refused_value(unbound, values, &state()));
    refused.flatten().unwrap_or(told)
}
