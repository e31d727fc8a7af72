//! The endpoints of the API, as traces name them.

/// The method and the path of requests, as they are written in a trace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    pub(crate) route: &'static str,
}
