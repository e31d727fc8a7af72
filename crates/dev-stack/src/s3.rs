//! S3 over a folder: `s3s` speaks the protocol and checks signatures, `s3s-fs` writes, and what
//! they leave out is added here: cheap and truthful `ETag`s, conditional reads, fast streaming
//! and IAM.

mod access;
mod conditions;
mod content_type;
mod file;
mod list;
mod object_state;
mod read;
mod service;
mod sidecar;
mod store;
mod write;

pub use object_state::ObjectState;
pub(crate) use object_state::ObjectStates;
pub(crate) use service::{Parts, build};
