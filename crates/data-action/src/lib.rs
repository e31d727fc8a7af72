#![doc = include_str!("../README.md")]

mod access;
mod admit;
mod answer;
mod attempt;
mod bench;
mod builder;
mod clients;
mod clock;
mod config;
mod definition;
mod error;
mod find;
mod function;
mod health;
mod inspect;
mod json_schema;
mod ledger;
mod local;
mod log;
mod metrics;
mod observer;
mod output_object;
mod params;
mod personal;
mod pipeline;
mod plan;
mod policy;
mod progress;
mod question;
mod read;
mod read_only;
mod reloaded;
mod report;
mod request;
mod services;
mod shipped;
mod status;
mod stores;
mod unauthorized;
mod upload;
mod usd;
mod versions;
#[cfg(feature = "cluster")]
mod worker;
mod workers;
#[cfg(test)]
mod worlds;

pub use answer::{Answer, AnswerObject, CacheServed, CostTracking, FlowAnswer, HotServed, Profile};
pub use bench::{TestBench, TestObjects, TestRun};
pub use builder::PipelineBuilder;
pub use clients::{
    BasicSettings, CALLER_PARAM, CertificateMatch, ClientSettings, IssuerSettings,
    OAuthClientSettings, RateSettings, Sha256Hex, TokenMatch,
};
pub use clock::{Clock, SystemClock};
pub use config::{
    AuditConfig, CONFIG_FILE, CacheSettings, Change, ClusterConfig, Config, ConfirmSettings,
    CostSettings, Documents, Door, EngineChoice, Environment, ForwardedHeader, FunctionArn,
    FunctionSettings, GenesysSettings, IpNetwork, ObjectCacheSettings, OwnTokenSettings,
    ProcessEnvironment, Project, PublishSettings, SecretSource, ServerKey, ServerSettings,
    ShipConfig, TEST_SUFFIX, TelemetrySettings, TlsSettings, action_files, nearest, read_toml,
};
pub use definition::{
    Action, ActionDefinition, ActionLimits, ActionSource, AnswerColumn, AnswerColumns,
    DataActionSettings, FlowShape, QueryDefinition,
};
pub use error::{ActionError, BoxError, ErrorCode, Excerpt};
pub use find::LeftOut;
pub use flowlake_profiler::{Gauge, Phase};
pub use function::{ExecutionEnvironment, FunctionRoles};
pub use health::PartHealth;
pub use inspect::{
    ActionCheck, ActionExplanation, Diagnosis, DoctorOptions, Finding, Inspector, TableCheck,
    Topic, Verdict,
};
pub use json_schema::{action_schema, config_schema};
pub use log::{LogFilter, LogLines};
pub use observer::{AttemptObserver, EndedAttempt, PhaseTiming};
pub use output_object::OutputObject;
pub use params::{NotParameters, parameters};
pub use pipeline::{Failure, Pipeline};
pub use policy::{PolicySettings, ReadPolicy};
pub use progress::{Planned, Progress, ProgressSnapshot};
pub use question::Question;
pub use read::{Inspected, KeyColumn, ScanPrice};
pub use report::RecordName;
pub use request::{ActionRequest, Caller, RowOutput};
pub use shipped::bring_shipped;
pub use status::{AuditState, HotState, PipelineStatus};
pub use unauthorized::UnauthorizedRequests;
#[cfg(feature = "cluster")]
pub use worker::{WorkerIdentity, worker};

pub use flowlake_transform::{
    Explanation, LOCAL_FILES, RowFormat, RunStats, ScanExplanation, StageExplanation, Step,
    StepRun, TableInfo, json::JsonReader, sent_name,
};
