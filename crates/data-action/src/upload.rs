//! Answers as objects of S3: written once their record is, from the file that their rows are in.

use std::{fs::File, io};

use object_store::{
    Error as StoreError, ObjectStore, PutMultipartOptions, PutOptions, WriteMultipart,
};
use tokio::io::AsyncReadExt;

use crate::{ActionError, ErrorCode, OutputObject, stores::S3};

/// The smallest part of an object that is written in parts; a smaller object is written at once.
const PART_BYTES: u64 = 8 << 20;
/// Parts that an object may have are 10,000.
const MOST_PARTS: u64 = 9_000;
/// Parts that are on their way at the same time.
const PARTS_AT_A_TIME: usize = 4;

/// Writes the rows of a file to an object, whole or not at all.
pub(crate) async fn upload(s3: &S3, to: &OutputObject, rows: File) -> Result<(), ActionError> {
    let store = s3.bucket(&to.bucket)?.request();
    let size = rows.metadata().map_err(unreadable)?.len();
    let mut rows = tokio::fs::File::from_std(rows);
    if size <= PART_BYTES {
        let mut content = Vec::new();
        let read = rows.read_to_end(&mut content).await;
        read.map_err(unreadable)?;
        let options = PutOptions {
            attributes: to.attributes(),
            ..PutOptions::default()
        };
        let put = store.put_opts(&to.key, content.into(), options).await;
        return put.map(drop).map_err(|error| unwritten(to, error));
    }
    let options = PutMultipartOptions {
        attributes: to.attributes(),
        ..PutMultipartOptions::default()
    };
    let upload = store.put_multipart_opts(&to.key, options).await;
    let upload = upload.map_err(|error| unwritten(to, error))?;
    let part = PART_BYTES.max(size.div_ceil(MOST_PARTS));
    let part = usize::try_from(part).unwrap_or(usize::MAX);
    let mut parts = WriteMultipart::new_with_chunk_size(upload, part);
    let sent = send_parts(&mut parts, &mut rows, part).await;
    match sent {
        // When it fails, it removes the parts that are there: they would be paid for.
        Ok(()) => parts.finish().await.map(drop),
        Err(error) => {
            let aborted = parts.abort().await;
            Err(aborted.err().unwrap_or(error))
        }
    }
    .map_err(|error| unwritten(to, error))
}

async fn send_parts(
    parts: &mut WriteMultipart,
    rows: &mut tokio::fs::File,
    part: usize,
) -> Result<(), StoreError> {
    loop {
        let mut piece = Vec::with_capacity(part);
        let read = (&mut *rows).take(part as u64).read_to_end(&mut piece).await;
        read.map_err(|error| StoreError::Generic {
            store: "file",
            source: error.into(),
        })?;
        if piece.is_empty() {
            return Ok(());
        }
        parts.wait_for_capacity(PARTS_AT_A_TIME).await?;
        parts.put(piece.into());
    }
}

fn unreadable(error: io::Error) -> ActionError {
    ActionError::new(
        ErrorCode::OutputUnwritable,
        "the rows cannot be read back from their file",
        "Free space in the folder for temporary files, and try again.",
    )
    .with_source(error)
}

fn unwritten(to: &OutputObject, error: StoreError) -> ActionError {
    ActionError::from_chain(&error).unwrap_or_else(|| {
        ActionError::new(
            ErrorCode::OutputUnwritable,
            format!("{to} could not be written"),
            "Try again, or write to a file.",
        )
        .with_source(error)
    })
}
