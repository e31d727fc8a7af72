#![doc = include_str!("../README.md")]

mod access;
mod bucket_policy;
mod caller_check;
mod clock;
mod context;
mod decision;
mod error;
mod identity;
mod principal;
mod request;
mod sdk;
mod settings;
mod simulate;
mod tags;

pub use access::{Access, AccessBuilder, ObjectsRequest};
pub use caller_check::CallerCheck;
pub use clock::{Clock, SystemClock};
pub use decision::{DecidedBy, Decision, Effect, MatchedStatement, Sides};
pub use error::{Error, ErrorKind};
pub use identity::Identity;
pub use principal::PrincipalKind;
pub use request::AccessRequest;
pub use sdk::{iam_client, load_sdk_config, s3_client, sts_client};
pub use settings::{
    AccessMode, AccessSettings, AssumeRoleSettings, AwsSettings, BucketSettings, StaticCredentials,
};
