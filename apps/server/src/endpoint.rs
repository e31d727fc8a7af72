//! Where questions come in.

/// The method and the path of requests, as they are written in a trace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Door {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
}
