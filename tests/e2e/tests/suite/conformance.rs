//! `object_store`'s own suite for stores, on our store over a SeaweedFS that checks signatures.

#[path = "../../../../crates/s3-stream/tests/suite/embedded/kinds.rs"]
mod kinds;

use anyhow::{Result, ensure};
use aws_sdk_s3::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use flowlake_e2e::{Environment, Keys, SeaweedFs};
use flowlake_s3_stream::{S3Stream, S3StreamSettings};
use kinds::KINDS;
use object_store::{ObjectStore, integration};

fn client(seaweed: &SeaweedFs) -> Client {
    let keys = SeaweedFs::admin();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(seaweed.url())
        .force_path_style(true)
        .credentials_provider(Credentials::new(keys.id, keys.secret, None, None, "e2e"))
        .build();
    Client::from_conf(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_is_a_store_as_object_store_wants_one() -> Result<()> {
    let environment = Environment::load()?;
    let folder = environment.folder("conformance")?;
    let seaweed = SeaweedFs::start(
        &environment,
        &folder,
        &Keys::new("AKIAE2EREADER", "reader-secret-conformance"),
    )?;
    let client = client(&seaweed);
    // Parts small enough that objects of the suite are several.
    let settings = S3StreamSettings {
        part_bytes: 1 << 20,
        min_part_bytes: 100_000,
        // SeaweedFS leaves out what is below a folder of that name.
        list_start_after: false,
        ..S3StreamSettings::default()
    };
    for (number, kind) in KINDS.into_iter().enumerate() {
        // SeaweedFS goes on listing folders whose last object was deleted: each begins in a bucket of its own.
        let bucket = format!("conformance-{number}");
        client.create_bucket().bucket(&bucket).send().await?;
        let store = S3Stream::builder(client.clone(), &bucket)
            .with_settings(settings.clone())
            .build()?;
        let store = &*kind(store);
        integration::put_get_delete_list(store).await;
        integration::put_get_attributes(store).await;
        integration::get_opts(store).await;
        integration::list_uses_directories_correctly(store).await;
        integration::list_with_delimiter(store).await;
        integration::list_with_offset_exclusivity(store).await;
        integration::rename_and_copy(store).await;
        integration::copy_if_not_exists(store).await;
        integration::copy_rename_nonexistent_object(store).await;
        integration::multipart_out_of_order(store).await;
        integration::multipart_race_condition(store, true).await;
        integration::get_nonexistent_object(store, None)
            .await
            .expect_err("what does not exist cannot be read");
        empty(store).await?;
        integration::stream_get(store).await;
        empty(store).await?;
        client.delete_bucket().bucket(&bucket).send().await?;
    }
    // A request's view holds on to the version that it first saw, and these objects are replaced while they are read.
    client.create_bucket().bucket("conditions").send().await?;
    for kind in [KINDS[0], KINDS[2], KINDS[3]] {
        let store = S3Stream::builder(client.clone(), "conditions").build()?;
        integration::put_opts(&*kind(store), true).await;
    }
    Ok(())
}

/// Deletes what a part of the suite left.
async fn empty(store: &dyn ObjectStore) -> Result<()> {
    use futures::{StreamExt, TryStreamExt};
    let all = store.list(None).map_ok(|meta| meta.location).boxed();
    store.delete_stream(all).try_collect::<Vec<_>>().await?;
    let left: Vec<_> = store.list(None).try_collect().await?;
    ensure!(left.is_empty(), "deletion left {left:?}");
    Ok(())
}
