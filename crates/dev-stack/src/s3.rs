//! S3 over a folder: `s3s` speaks the protocol and checks signatures, `s3s-fs` writes, and what
//! they leave out is added here: cheap and truthful `ETag`s, conditional reads, fast streaming
//! and IAM.

mod access;
mod conditions;
mod content_type;
mod file;
mod service;
mod sidecar;
mod store;

pub(crate) use service::build;
