#![doc = include_str!("../README.md")]

mod build;
mod client;
mod contract;
mod document;
mod error;
mod request;
mod template;

pub use build::{DocumentBuilder, OutputShape, RequestBody};
pub use client::{
    Action, PlatformClient, PlatformClientBuilder, PlatformSettings, Published, TestResult,
    TestStep, Validation,
};
pub use contract::{Contract, Field, ValueType, Violation};
pub use document::{
    ActionConfig, ActionContract, DataAction, InputContract, OutputContract, RequestConfig,
    ResponseConfig,
};
pub use error::{Error, ErrorKind};
