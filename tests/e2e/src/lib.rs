#![doc = include_str!("../README.md")]

mod audit;
mod embedded;
mod environment;
mod flowlake;
mod http;
mod judge;
mod leaks;
mod moto;
mod otlp;
mod process;
mod python;
mod rows;
mod seaweed;
mod setting;

pub use self::{
    audit::audit_records,
    embedded::{EmbeddedStack, SHIPPED},
    environment::Environment,
    flowlake::{Finished, Project, ProjectSettings, Server},
    http::{Answer, request, request_with},
    judge::{Judge, Question},
    leaks::Outputs,
    moto::Moto,
    otlp::OtlpReceiver,
    process::{Process, free_ports, piped},
    python::Python,
    rows::assert_same_rows,
    seaweed::{Keys, SeaweedFs},
    setting::Setting,
};

/// The bucket of all tests.
pub const BUCKET: &str = "genesys-data-lake";
