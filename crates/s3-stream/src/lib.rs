#![doc = include_str!("../README.md")]

/// The examples of BEHAVIOUR.md, which are tests.
#[cfg(doctest)]
#[doc = include_str!("../BEHAVIOUR.md")]
struct Behaviour;

mod budget;
mod checksum;
mod client;
mod clock;
mod copy;
mod disk_cache;
mod error;
mod get;
mod key;
mod list;
mod listed_object;
mod metadata;
mod metadata_cache;
mod meter;
mod multipart;
mod part_stream;
mod put;
mod read_ahead;
mod retry;
mod retry_budget;
mod settings;
mod store;
mod stream;

pub use budget::ReadBudget;
pub use checksum::{Checksum, ChecksumAlgorithm};
pub use clock::{Clock, SystemClock};
pub use disk_cache::{DiskCache, DiskCacheSettings};
pub use error::{Error, ErrorKind};
pub use listed_object::ListedObject;
pub use metadata::ObjectMetadata;
pub use metadata_cache::MetadataCache;
pub use meter::{Meter, MeterSnapshot};
pub use settings::S3StreamSettings;
pub use stream::{S3Stream, S3StreamBuilder};
