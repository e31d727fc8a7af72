//! Twenty thousand generated worlds, without sockets: what is found is what is allowed, priced, read and recorded.
//!
//! `tests/suite/worlds.rs` walks some of the same worlds through the whole pipeline.

mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use chrono::DateTime;
use flowlake_aws_access::{
    AccessRequest, DecidedBy, Decision, Effect, Error as AccessError, ObjectsRequest,
};
use flowlake_cost_audit::AuditObject;
use flowlake_s3_stream::{ListedObject, ObjectMetadata};
use flowlake_transform::{
    BoundParams, BoxError, Location, Run, StoreResolver, Transform, arrow::array::AsArray,
    arrow::datatypes::Int64Type,
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use rust_decimal::Decimal;

use self::world::{Asked, Object, World};
use crate::{
    Action, ActionDefinition, ActionError, CostSettings, ErrorCode, PolicySettings, ReadPolicy,
    access::{self, AccessChecker},
    find::{Bucket, Found, find},
    ledger::{Pricing, objects_of_record},
    plan::ReadPlan,
};

/// Worlds of each of four tests, which run side by side; the everyday run has one in forty.
const WORLDS: u64 = 5000;

/// One world in this many is read by the engine, which takes a hundred times as long as the rest.
const READ: u64 = 10;

/// Seeds of worlds that once went wrong.
const REGRESSIONS: &str = include_str!("worlds/regressions.txt");

/// A bucket that counts what it is asked.
#[derive(Debug)]
struct Lake<'a> {
    world: &'a World,
    asked: Mutex<Asked>,
    prefixes: Mutex<Vec<String>>,
}

fn class_of(object: &Object) -> Option<String> {
    object.class.map(str::to_owned)
}

fn size_of(object: &Object) -> u64 {
    // The number of an object has one digit.
    object.content(0).len() as u64
}

impl Bucket for Lake<'_> {
    async fn head(&self, path: &Path) -> Result<Arc<ObjectMetadata>, ActionError> {
        self.asked.lock().unwrap().heads += 1;
        let mut objects = self.world.objects.iter();
        let object = objects.find(|object| object.key == path.as_ref());
        let object = object.ok_or_else(|| {
            ActionError::new(ErrorCode::S3NoSuchKey, "there is no such object", "None.")
        })?;
        Ok(Arc::new(ObjectMetadata {
            location: path.clone(),
            size: size_of(object),
            storage_class: class_of(object),
            ..ObjectMetadata::default()
        }))
    }

    fn list(&self, location: &Location) -> BoxStream<'static, Result<ListedObject, ActionError>> {
        let prefix = location.list_prefix().unwrap_or_default();
        self.asked.lock().unwrap().lists += 1;
        self.prefixes.lock().unwrap().push(prefix.to_owned());
        let objects = self.world.objects.iter();
        let listed = objects.filter(|object| object.key.starts_with(prefix));
        let listed: Vec<_> = listed
            .map(|object| {
                Ok(ListedObject {
                    key: object.key.clone(),
                    size: size_of(object),
                    etag: None,
                    last_modified: DateTime::UNIX_EPOCH,
                    storage_class: class_of(object),
                })
            })
            .collect();
        futures::stream::iter(listed).boxed()
    }

    fn expect(&self, _path: &Path, _listed: &ListedObject) {}
}

/// IAM, as the world has it, which notes what it is asked.
#[derive(Debug)]
struct Iam<'a> {
    world: &'a World,
    prefixes: Mutex<Vec<String>>,
    keys: Mutex<BTreeSet<String>>,
}

impl Iam<'_> {
    fn decision(&self, resource: &str, is_allowed: bool) -> Arc<Decision> {
        Arc::new(Decision {
            allowed: is_allowed,
            effect: if is_allowed {
                Effect::Allowed
            } else {
                Effect::ImplicitDeny
            },
            decided_by: DecidedBy::Simulation,
            advisory: false,
            principal_arn: String::new(),
            action: "s3:GetObject".to_owned(),
            resource: resource.to_owned(),
            matched: Vec::new(),
            missing_context_keys: Vec::new(),
            boundary: None,
            organizations: None,
            sides: None,
            reason: String::new(),
            advice: None,
            policy: None,
            notes: Vec::new(),
        })
    }

    fn may_read(&self, key: &str) -> bool {
        self.keys.lock().unwrap().insert(key.to_owned());
        self.world.iam_allows(key)
    }
}

impl AccessChecker for Iam<'_> {
    async fn check(&self, request: &AccessRequest) -> Result<Arc<Decision>, AccessError> {
        let is_allowed = match request.prefix() {
            Some(prefix) => {
                self.prefixes.lock().unwrap().push(prefix.to_owned());
                self.world.iam_lists(prefix)
            }
            None => {
                let bucket = format!("arn:aws:s3:::{}/", self.world.bucket());
                let resource = request.resource();
                self.may_read(resource.strip_prefix(&bucket).unwrap())
            }
        };
        Ok(self.decision(&request.resource(), is_allowed))
    }

    async fn check_objects(
        &self,
        request: &ObjectsRequest<'_>,
    ) -> Result<Option<Arc<Decision>>, AccessError> {
        let mut answers = request.keys.iter().map(|key| self.may_read(key));
        // All are asked about, as of a thousand at most.
        let is_allowed = answers
            .by_ref()
            .fold(true, |all, is_allowed| all & is_allowed);
        let decision = || self.decision(request.pattern, is_allowed);
        Ok((!request.keys.is_empty()).then(decision))
    }
}

/// What a run is given, and what it asked for.
struct Store(Arc<dyn ObjectStore>);

impl StoreResolver for Store {
    fn store(&self, _bucket: &str) -> Result<Arc<dyn ObjectStore>, BoxError> {
        Ok(Arc::clone(&self.0))
    }
}

struct Walked {
    plan: ReadPlan,
    unnamed: u64,
}

/// The steps of an attempt up to its plan, in their order.
async fn walk(
    world: &World,
    action: &Action,
    lake: &Lake<'_>,
    iam: &Iam<'_>,
) -> Result<Walked, ActionError> {
    let of = |patterns: &[String]| -> Vec<String> {
        let entry = |pattern: &String| format!("s3://{}/{pattern}", world.bucket());
        patterns.iter().map(entry).collect()
    };
    let policy = ReadPolicy::try_new(&PolicySettings {
        allow: of(&world.allow),
        deny: of(&world.deny),
        ..PolicySettings::default()
    })?;
    let locations = action.prepared.locations(&BoundParams::default())?;
    for table in &locations {
        policy.check(&table.location)?;
    }
    for table in &locations {
        access::location(iam, &table.location, drop).await?;
    }
    let mut all = Vec::new();
    for table in &locations {
        all.push(find(&policy, &action.prepared, table, lake).await?);
    }
    for found in &all {
        access::found(iam, found, drop).await?;
    }
    let unnamed = all.iter().map(|found: &Found| found.files.unnamed).sum();
    let plan = ReadPlan::try_new(&action.prepared, all)?;
    Ok(Walked { plan, unnamed })
}

/// The numbers of the objects that the engine reads by a plan.
async fn read(
    engine: &Transform,
    world: &World,
    action: &Action,
    plan: &ReadPlan,
) -> Result<BTreeSet<usize>, String> {
    let store = Arc::new(InMemory::new());
    for (number, object) in world.objects.iter().enumerate() {
        if object.has_path() && !object.is_empty {
            let path = Path::parse(&object.key).unwrap();
            let content = object.content(number).into_bytes();
            store.put(&path, content.into()).await.unwrap();
        }
    }
    let bound = BoundParams::default();
    let run = Run {
        prepared: &action.prepared,
        bound: &bound,
        files: &plan.files,
        stores: &Store(store),
    };
    let told = |error: flowlake_transform::Error| format!("not read: {error}");
    let rows = engine.run(&run).await.map_err(told)?;
    let batches: Vec<_> = rows.try_collect().await.map_err(told)?;
    let numbers = batches.iter().flat_map(|batch| {
        let column = batch.column(0).as_primitive::<Int64Type>();
        column.values().iter().copied()
    });
    Ok(numbers
        .map(|number| usize::try_from(number).unwrap())
        .collect())
}

fn ensure(is_so: bool, what: &str) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(what.to_owned()) }
}

/// Whether the estimate is of these objects, each with its size and class.
fn priced(
    pricing: &Pricing,
    expected: &BTreeMap<&str, &Object>,
    plan: &ReadPlan,
) -> Result<(), String> {
    let mut classes: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for object in expected.values() {
        *classes.entry(object.class).or_default() += size_of(object);
    }
    let mut planned: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for object in &plan.objects {
        let class = object.storage_class.as_deref();
        *planned.entry(class).or_default() += object.size;
    }
    ensure(planned == classes, "priced is found")?;
    let estimate = pricing
        .estimate(plan, 0)
        .map_err(|error| error.to_string())?;
    let gets = estimate
        .lines
        .iter()
        .filter(|line| line.item == "GET requests");
    let gets: Decimal = gets.map(|line| line.quantity).sum();
    ensure(
        gets == Decimal::from(2 * expected.len()),
        "two GETs for each",
    )
}

async fn run(
    engine: &Transform,
    pricing: &Pricing,
    world: &World,
    is_read: bool,
) -> Result<bool, String> {
    let definition = ActionDefinition::parse("t.toml".as_ref(), &world.action());
    let action = Action::try_new(definition.unwrap()).unwrap();
    let lake = Lake {
        world,
        asked: Mutex::default(),
        prefixes: Mutex::default(),
    };
    let iam = Iam {
        world,
        prefixes: Mutex::default(),
        keys: Mutex::default(),
    };
    let walked = walk(world, &action, &lake, &iam).await;
    let asked = *lake.asked.lock().unwrap();
    let expected = world.expected();
    let keys: BTreeSet<&str> = expected.keys().copied().collect();
    let Walked { plan, unnamed } = match walked {
        Ok(walked) => walked,
        Err(error) => {
            let is_known = world.explains(error.code().as_str(), &asked);
            return ensure(is_known, &format!("[{}] {error}", error.code())).map(|()| false);
        }
    };
    let found: BTreeSet<&str> = plan
        .files
        .objects()
        .map(|(_, object)| object.location.as_ref())
        .collect();
    ensure(found == keys, "found is what the uri names")?;
    ensure(
        keys.iter().all(|key| world.policy_allows(key)),
        "the policy allows each",
    )?;
    ensure(
        keys.iter().all(|key| world.iam_allows(key)),
        "IAM allows each",
    )?;
    let questions = iam.keys.lock().unwrap().clone();
    let questions: BTreeSet<&str> = questions.iter().map(String::as_str).collect();
    ensure(questions == keys, "IAM was asked about each, and no other")?;
    ensure(
        *iam.prefixes.lock().unwrap() == *lake.prefixes.lock().unwrap(),
        "IAM is asked for the prefix that S3 is sent",
    )?;
    if world.is_exact() {
        ensure((asked.heads, asked.lists) == (1, 0), "one HEAD and no LIST")?;
    } else {
        ensure((asked.heads, asked.lists) == (0, 1), "one LIST and no HEAD")?;
        ensure(world.iam_lists(world.prefix()), "IAM allows the listing")?;
        ensure(
            unnamed == world.unnamed() as u64,
            "what is left out is counted",
        )?;
    }
    priced(pricing, &expected, &plan)?;
    if !is_read {
        return Ok(true);
    }
    let numbers = match read(engine, world, &action, &plan).await {
        Ok(numbers) => numbers,
        Err(_) if world.explains("data.malformed", &asked) => return Ok(false),
        Err(error) => return Err(error),
    };
    let read: BTreeSet<&str> = numbers
        .iter()
        .map(|number| &*world.objects[*number].key)
        .collect();
    ensure(read == keys, "read is found")?;
    let versions = plan.files.objects().map(|(bucket, object)| AuditObject {
        bucket: bucket.to_owned(),
        key: object.location.to_string(),
        ..AuditObject::default()
    });
    let wanted: Vec<_> = plan
        .files
        .found()
        .iter()
        .map(|found| found.table.location.clone())
        .collect();
    let recorded = objects_of_record(versions.collect(), &wanted);
    let recorded: BTreeSet<&str> = recorded.iter().map(|object| &*object.key).collect();
    ensure(recorded == keys, "recorded is found")?;
    Ok(true)
}

/// Every fourth world.
async fn shard(first: u64) {
    let engine = Transform::builder().build().unwrap();
    let settings = CostSettings::default();
    let pricing = Pricing {
        prices: settings.price_table().unwrap(),
        region: "us-east-1".to_owned(),
        destination: settings.destination().unwrap(),
        free_allowance: false,
        s3: flowlake_s3_stream::S3StreamSettings::default(),
    };
    let mut answered = 0_u64;
    let regressions = REGRESSIONS
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .filter(|seed: &u64| seed % 4 == first)
        .map(|seed| (seed, true));
    let worlds = flowlake_dev_stack::generated_cases(WORLDS);
    let seeds = (0..worlds).map(|step| 4 * step + first);
    let seeds = seeds.map(|seed| (seed, seed.is_multiple_of(READ)));
    for (seed, is_read) in regressions.chain(seeds) {
        let world = World::of(seed);
        match run(&engine, &pricing, &world, is_read).await {
            Ok(is_answer) => answered += u64::from(is_answer),
            Err(what) => panic!("{what}: {world:?}"),
        }
    }
    assert!(answered * 6 > worlds, "only {answered} could be read");
}

#[tokio::test]
async fn what_is_found_is_allowed_priced_read_and_recorded_in_worlds_0() {
    shard(0).await;
}

#[tokio::test]
async fn what_is_found_is_allowed_priced_read_and_recorded_in_worlds_1() {
    shard(1).await;
}

#[tokio::test]
async fn what_is_found_is_allowed_priced_read_and_recorded_in_worlds_2() {
    shard(2).await;
}

#[tokio::test]
async fn what_is_found_is_allowed_priced_read_and_recorded_in_worlds_3() {
    shard(3).await;
}
