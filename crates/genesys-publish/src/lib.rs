#![doc = include_str!("../README.md")]

mod build;
mod client;
mod contract;
mod document;
mod error;
mod model;
mod request;
mod rules;
mod settings;
mod template;

pub use build::{DocumentBuilder, OutputShape, RequestBody};
pub use client::{PlatformClient, PlatformClientBuilder};
pub use contract::{Contract, Field, ValueType};
pub use document::{
    ActionConfig, ActionContract, DataAction, InputContract, OutputContract, RequestConfig,
    ResponseConfig,
};
pub use error::{Error, ErrorKind};
pub use model::{Action, Published, TestResult, TestStep, Validation};
pub use rules::Violation;
pub use settings::PlatformSettings;
