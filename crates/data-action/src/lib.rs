#![doc = include_str!("../README.md")]

mod access;
mod answer;
mod caller;
mod check;
mod clock;
mod config;
mod definition;
mod doctor;
mod error;
mod explain;
mod hot;
mod inspect;
mod observer;
mod pipeline;
mod plan;
mod policy;
mod services;
mod stores;

pub use answer::{Answer, AnswerObject, CostTracking, FlowAnswer, HotServed, Profile};
pub use caller::{ActionRequest, Caller, RowOutput};
pub use check::{ActionCheck, TableCheck};
pub use clock::{Clock, SystemClock};
pub use config::{
    AuditConfig, CONFIG_FILE, Config, CostSettings, Environment, GenesysSettings, Project,
    SecretSource, ServerKey, ServerSettings, ShipConfig, TelemetrySettings,
};
pub use definition::{Action, ActionDefinition, QueryDefinition};
pub use doctor::{Diagnosis, DoctorOptions, Finding, Topic, Verdict};
pub use error::{ActionError, BoxError, ErrorCode};
pub use explain::ActionExplanation;
pub use flowlake_profiler::Phase;
pub use inspect::Inspector;
pub use observer::{AttemptObserver, EndedAttempt, PhaseTiming};
pub use pipeline::{Failure, PartHealth, Pipeline, PipelineBuilder};
pub use policy::{PolicySettings, ReadPolicy};

pub use flowlake_transform::{
    Explanation, RowFormat, RunStats, ScanExplanation, Step, StepRun, TableInfo,
};
