//! `object_store`'s own suite for stores, on the embedded S3. It deletes everything in the bucket.

use crate::support::{Embedded, small_parts};
use flowlake_s3_stream::S3StreamSettings;
use object_store::integration;

/// Parts for objects of some megabytes: several, and not thousands.
fn middling_parts() -> S3StreamSettings {
    S3StreamSettings {
        part_bytes: 1 << 20,
        ..S3StreamSettings::default()
    }
}

#[tokio::test]
async fn put_get_delete_list() {
    let embedded = Embedded::start().await;
    integration::put_get_delete_list(&embedded.store(small_parts())).await;
}

#[tokio::test]
async fn list_with_delimiter() {
    let embedded = Embedded::start().await;
    integration::list_with_delimiter(&embedded.store(small_parts())).await;
}

#[tokio::test]
async fn list_with_offset() {
    let embedded = Embedded::start().await;
    integration::list_with_offset_exclusivity(&embedded.store(small_parts())).await;
}

#[tokio::test]
async fn rename_and_copy() {
    let embedded = Embedded::start().await;
    integration::rename_and_copy(&embedded.store(small_parts())).await;
}

#[tokio::test]
async fn stream_get() {
    let embedded = Embedded::start().await;
    integration::stream_get(&embedded.store(middling_parts())).await;
}

#[tokio::test]
async fn multipart_with_parts_out_of_order() {
    let embedded = Embedded::start().await;
    integration::multipart_race_condition(&embedded.store(middling_parts()), true).await;
}
