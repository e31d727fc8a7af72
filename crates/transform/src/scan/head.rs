//! The first bytes of files, read once in a run: to find out what a file is, and then as the beginning of its rows.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use object_store::{Attribute, GetOptions, GetRange, ObjectStore, Result, path::Path};

/// Bytes of a head.
pub(crate) const HEAD_BYTES: u64 = 256 << 10;
/// Files up to this size are read whole, with one request.
pub(crate) const WHOLE_BYTES: u64 = 1 << 20;
/// Heads of all files of a run that are kept together; more are read again.
const KEPT_BYTES: usize = 32 << 20;

/// The beginning of a file.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) bytes: Bytes,
    /// Whether it is the whole file.
    pub(crate) whole: bool,
    /// How many bytes were asked for: more than there are when it is the whole file.
    pub(crate) asked: usize,
    pub(crate) content_type: Option<String>,
    pub(crate) e_tag: Option<String>,
}

impl Head {
    /// Its first bytes, as if no more had been asked for.
    pub(crate) fn beginning(&self, bytes: u64) -> Self {
        let asked = usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            bytes: self.bytes.slice(..self.bytes.len().min(asked)),
            whole: self.whole && self.bytes.len() <= asked,
            asked,
            ..self.clone()
        }
    }
}

/// The heads of one run.
#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<(usize, HashMap<Path, Head>)>);

impl Heads {
    pub(crate) fn get(&self, path: &Path) -> Option<Head> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.1.get(path).cloned()
    }

    /// Keeps a head if there is room.
    pub(crate) fn keep(&self, path: &Path, head: &Head) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.1.get(path).map_or(0, |head| head.bytes.len());
        let bytes = kept.0 + head.bytes.len() - before;
        if bytes <= KEPT_BYTES {
            kept.0 = bytes;
            kept.1.insert(path.clone(), head.clone());
        }
    }
}

/// Reads the first `bytes` of a file of `size` bytes; all of a small one.
pub(crate) async fn read(
    store: &dyn ObjectStore,
    file: &Path,
    size: u64,
    bytes: u64,
) -> Result<Head> {
    let bytes = if size <= WHOLE_BYTES {
        bytes.max(size)
    } else {
        bytes
    };
    let options = GetOptions {
        range: (size > 0).then(|| GetRange::Bounded(0..bytes.min(size))),
        ..GetOptions::default()
    };
    let result = store.get_opts(file, options).await?;
    let content_type = result
        .attributes
        .get(&Attribute::ContentType)
        .map(|value| value.as_ref().to_owned());
    let (size, e_tag) = (result.meta.size, result.meta.e_tag.clone());
    let read = result.bytes().await?;
    Ok(Head {
        whole: read.len() as u64 >= size,
        asked: usize::try_from(bytes).unwrap_or(usize::MAX),
        bytes: read,
        content_type,
        e_tag,
    })
}
