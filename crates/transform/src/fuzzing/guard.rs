//! Any text as an action's SQL, planned and run over one table.

use std::{
    cell::Cell,
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, LazyLock, Once},
    time::Duration,
};

use bytesize::ByteSize;
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
use tokio::runtime::{Builder, Runtime};

use crate::{
    BoxError, Limits, ParamSpec, Prepared, Run, StoreResolver, TableSpec, Transform,
    TransformSettings, TransformSpec,
};

const CALLS: &str = "queue,agent,ms\nSales,a,1200\nBilling,b,800\nSales,c,\n";
/// Stands in a file that no table names.
const SECRET: &str = "Zq8x7hidden";
/// Beyond the limit, what the engine does between two looks at the clock.
const TIMEOUT: Duration = Duration::from_millis(300);

/// One store, and no other.
struct One(Arc<dyn ObjectStore>);

impl StoreResolver for One {
    fn store(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BoxError> {
        assert_eq!(bucket, "lake");
        Ok(Arc::clone(&self.0))
    }
}

struct Setting {
    runtime: Runtime,
    transform: Transform,
    store: One,
}

static SETTING: LazyLock<Option<Setting>> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let settings = TransformSettings {
        memory: ByteSize::mib(16),
        max_spill: ByteSize::mib(16),
        threads: Some(2),
        ..TransformSettings::default()
    };
    let transform = Transform::builder().with_settings(settings).build().ok()?;
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let files = [
        ("calls.csv", CALLS.to_owned()),
        ("secret.csv", format!("what\n{SECRET}\n")),
    ];
    for (key, text) in files {
        runtime.block_on(store.put(&key.into(), text.into())).ok()?;
    }
    Some(Setting {
        runtime,
        transform,
        store: One(store),
    })
});

thread_local! {
    /// Whether the engine has the word: a panic of its own is an error to our callers, and no finding here.
    static IN_ENGINE: Cell<bool> = const { Cell::new(false) };
}

/// Lets a fuzzer's hook, which ends the process, see only panics that are ours.
fn tell_panics_apart() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ours = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info
                .location()
                .map(|place| place.file().to_owned())
                .unwrap_or_default();
            let foreign = place.contains(".cargo/registry") || place.contains("/rustc/");
            if !(IN_ENGINE.get() && foreign) {
                ours(info);
            }
        }));
    });
}

fn spec(sql: &str) -> Option<TransformSpec> {
    let table: TableSpec = serde_json::from_str(r#"{"uri": "s3://lake/calls.csv"}"#).ok()?;
    let mut params = BTreeMap::new();
    if sql.contains("$q") {
        let param: ParamSpec =
            serde_json::from_str(r#"{"type": "string", "default": "Sales"}"#).ok()?;
        params.insert("q".to_owned(), param);
    }
    Some(TransformSpec {
        sql: sql.to_owned(),
        tables: BTreeMap::from([("t".to_owned(), table)]),
        params,
        limits: Limits {
            timeout: TIMEOUT,
            max_rows: 100,
            max_output_bytes: ByteSize::mib(1),
            ..Limits::default()
        },
    })
}

/// The text as SQL over the table `t`, with the parameter `$q` where it names one.
///
/// # Panics
/// If our part of it panics, if anything but the table is read, or if anything is written.
pub fn guard(data: &[u8]) {
    let Ok(sql) = std::str::from_utf8(data) else {
        return;
    };
    tell_panics_apart();
    let (Some(setting), Some(spec)) = (SETTING.as_ref(), spec(sql)) else {
        return;
    };
    IN_ENGINE.set(true);
    let run = AssertUnwindSafe(async {
        let prepared = Prepared::try_new(spec).ok()?;
        let bound = prepared
            .bind(&serde_json::Map::new(), chrono::DateTime::UNIX_EPOCH)
            .ok()?;
        let (transform, stores) = (&setting.transform, &setting.store);
        let files = transform.find(&prepared, &bound, stores).await.ok()?;
        let run = Run {
            prepared: &prepared,
            bound: &bound,
            files: &files,
            stores,
        };
        let rows = transform.run(&run).await.ok()?;
        rows.try_collect::<Vec<_>>().await.ok()
    });
    let rows = setting.runtime.block_on(run.catch_unwind()).ok().flatten();
    IN_ENGINE.set(false);
    if let Some(rows) = rows.filter(|_| !sql.contains(SECRET)) {
        // A value that cannot be shown is none of the secret.
        let shown = pretty_format_batches(&rows)
            .map(|table| table.to_string())
            .unwrap_or_default();
        assert!(!shown.contains(SECRET), "{sql:?} reads what it may not");
    }
    let files = setting.runtime.block_on(setting.store.0.list(None).count());
    assert_eq!(files, 2, "{sql:?} has written or deleted");
}
