#![doc = include_str!("../README.md")]

mod build;
mod client;
mod contract;
mod diff;
mod document;
mod error;
mod hcl;
mod json_path;
mod limits;
mod misfit;
mod model;
mod openapi;
mod publish;
mod request;
mod rules;
mod schema;
mod settings;
mod shape;
mod simulate;
mod template;
mod velocity;
mod version;

pub use build::{DocumentBuilder, RequestBody};
pub use client::{PlatformClient, PlatformClientBuilder};
pub use contract::{Contract, Field, ValueType};
pub use diff::{Change, Effect, diff};
pub use document::{
    ActionConfig, ActionContract, DataAction, InputContract, OutputContract, RequestConfig,
    ResponseConfig,
};
pub use error::{Error, ErrorKind};
pub use hcl::to_hcl;
pub use limits::Load;
pub use misfit::{Misfit, misfits};
pub use model::{
    Action, Consumer, Consumers, Draft, LiveAction, OtherVersion, Plan, Published, Step,
    TestResult, TestStep, Validation,
};
pub use openapi::{OpenApiAction, OpenApiSettings, to_openapi};
pub use request::Wait;
pub use rules::Violation;
pub use settings::PlatformSettings;
pub use shape::OutputShape;
pub use simulate::{Operation, Reply, Simulated, Simulator};
pub use version::{asked_version, split_version};
