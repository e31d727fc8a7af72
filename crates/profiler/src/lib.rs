#![doc = include_str!("../README.md")]

mod exposition;
mod latency;
mod profiler;
mod sample;
mod series;
mod snapshot;
mod state;
mod window;

pub use exposition::Gauge;
pub use profiler::{Profiler, ProfilerSettings};
pub use sample::{Phase, Sample};
pub use snapshot::{ActionStats, Entry, Latency, Snapshot, WindowStats, Windows};
