//! STS, IAM and Cost Explorer behind one endpoint; the signature's scope says which one is meant.

mod call;
mod cost;
mod iam;
mod model;
mod query;
mod refusal;
mod service;
mod sigv4;
mod sts;
mod xml;

pub use cost::{CostRow, CostTable};
pub(crate) use model::{check_rest, check_xml, has_xml_body};
pub(crate) use service::AwsFront;
