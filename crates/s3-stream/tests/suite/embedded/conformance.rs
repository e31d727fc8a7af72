//! `object_store`'s own suite for stores, on the embedded S3: bare, as a request's view, and under `object_store`'s wrappers.
//! Each part of the suite deletes everything in its bucket.

use super::{
    kinds::KINDS,
    support::{Embedded, small_parts},
};
use flowlake_s3_stream::S3StreamSettings;
use object_store::integration;

/// Parts for objects of some megabytes: several, and not thousands.
fn middling_parts() -> S3StreamSettings {
    S3StreamSettings {
        part_bytes: 1 << 20,
        ..S3StreamSettings::default()
    }
}

/// Runs one part of the suite on each way in which the store is used, each on a stack of its own.
macro_rules! conformance {
    ($kinds:expr, $($name:ident: $settings:expr, |$store:ident| $suite:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            for kind in &$kinds {
                let embedded = Embedded::start().await;
                let made = kind(embedded.store($settings));
                let $store = &*made;
                $suite.await;
            }
        }
    )*};
}

conformance! {
    KINDS,
    put_get_delete_list: small_parts(), |store| integration::put_get_delete_list(store);
    put_get_attributes: small_parts(), |store| integration::put_get_attributes(store);
    get_opts: small_parts(), |store| integration::get_opts(store);
    get_nonexistent_object: small_parts(), |store| async {
        integration::get_nonexistent_object(store, None).await.unwrap_err()
    };
    list_uses_directories_correctly: small_parts(), |store| integration::list_uses_directories_correctly(store);
    list_with_delimiter: small_parts(), |store| integration::list_with_delimiter(store);
    list_with_offset: small_parts(), |store| integration::list_with_offset_exclusivity(store);
    rename_and_copy: small_parts(), |store| integration::rename_and_copy(store);
    copy_if_not_exists: small_parts(), |store| integration::copy_if_not_exists(store);
    copy_rename_nonexistent_object: small_parts(), |store| integration::copy_rename_nonexistent_object(store);
}

// Many megabytes each: the wrappers add nothing to them but time.
conformance! {
    KINDS[..2],
    stream_get: middling_parts(), |store| integration::stream_get(store);
    multipart_race_condition: middling_parts(), |store| integration::multipart_race_condition(store, true);
    multipart_out_of_order: middling_parts(), |store| integration::multipart_out_of_order(store);
}

/// A request's view is left out: here objects are replaced by others while they are read, and a view holds on to the version
/// that it first saw.
#[tokio::test]
async fn put_opts() {
    for kind in [KINDS[0], KINDS[2], KINDS[3]] {
        let embedded = Embedded::start().await;
        integration::put_opts(&*kind(embedded.store(small_parts())), true).await;
    }
}
