//! Identities and policies: the document they are written in, and their evaluation.

mod arn;
mod condition;
mod context;
mod directory;
mod document;
mod evaluate;
mod pattern;
mod policy;

pub use document::{AccessKey, Bucket, Group, IamDocument, Identity};

pub(crate) use arn::Arn;
pub(crate) use context::Context;
pub(crate) use directory::{Directory, Entity, Principal, Session};
pub(crate) use evaluate::{Decision, Evaluation, Matched, Outcome, evaluate};
pub(crate) use policy::{Policy, Span};
