//! What hot tables are given from outside: the time, and the versions of objects.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use object_store::ObjectMeta;

use crate::{Error, Files, StoreResolver, TableLocation, error::BoxError};

/// Where hot tables take the time from.
pub trait HotClock: fmt::Debug + Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn elapsed(&self) -> Duration;
}

/// Asks for versions, and begins the reads of new ones, which no request waits for.
#[async_trait]
pub trait HotSource: Send + Sync {
    /// The present version of an object, asked of the store itself and of no cache.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn head(&self, table: &TableLocation) -> Result<ObjectMeta, BoxError>;

    /// Makes sure that a new version may be read, and finds its files.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    async fn reload(&self, locations: &[TableLocation]) -> Result<Box<dyn Reload>, BoxError>;
}

/// The read of a new version.
#[async_trait]
pub trait Reload: Send {
    /// The files to read.
    fn files(&self) -> Files;

    /// Where they are read from; whatever these stores read of an object must be one version of it.
    fn stores(&self) -> Arc<dyn StoreResolver>;

    /// The version has been read, or could not be read: the moment to write down what that took. Only then is it answered
    /// from.
    ///
    /// # Errors
    /// Whatever keeps the version from being used.
    async fn ended(self: Box<Self>, failure: Option<&Error>) -> Result<(), BoxError>;
}
