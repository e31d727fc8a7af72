#![doc = include_str!("../README.md")]

mod aws;
mod clock;
mod error;
mod faults;
mod generated;
mod genesys;
mod iam;
mod lambda;
mod s3;
pub mod sample;
mod secrets;
mod server;
mod stack;

pub use aws::{CostRow, CostTable};
pub use clock::{Clock, ShiftedClock, SystemClock};
pub use error::{Error, ErrorKind};
pub use faults::{Failure, ReceivedRequest, Traffic};
pub use generated::generated_cases;
pub use genesys::{Genesys, GenesysSettings};
pub use iam::{AccessKey, Bucket, Group, IamDocument, Identity};
pub use lambda::{Invocation, Invoked, LambdaRuntime};
pub use s3::ObjectState;
pub use secrets::note_secret;
pub use stack::{DevStack, DevStackBuilder};
