//! Generated worlds, as in `src/worlds.rs`, through the whole pipeline on the embedded stack: what is found is what is allowed,
//! priced, read and recorded.
//!
//! `FLOWLAKE_WORLDS=20000` tries that many worlds, `FLOWLAKE_WORLDS_FROM=17` begins with another one.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

#[path = "../../src/worlds/world.rs"]
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
};

use flowlake_data_action::Pipeline;
use flowlake_dev_stack::{DevStack, IamDocument, Identity, ObjectState};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use self::world::{Asked, World};
use crate::support::{House, READER, project, variables};

const WORLDS: u64 = 300;
/// Worlds that share one stack, each with a bucket of its own.
const BATCH: u64 = 50;

/// What IAM grants to the reader.
fn statements(world: &World) -> Vec<Value> {
    let bucket = world.bucket();
    let resources = |patterns: &[String]| -> Vec<String> {
        let of = |pattern: &String| format!("arn:aws:s3:::{bucket}/{pattern}");
        patterns.iter().map(of).collect()
    };
    let mut all = vec![
        json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": resources(&world.read) }),
        json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": format!("arn:aws:s3:::{bucket}"),
            "Condition": { "StringLike": { "s3:prefix": world.list } } }),
    ];
    if !world.unread.is_empty() {
        all.push(json!({ "Effect": "Deny", "Action": "s3:GetObject", "Resource": resources(&world.unread) }));
    }
    all
}

async fn house(worlds: &[World]) -> House {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("lake-root");
    let mut granted = vec![json!(
        { "Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy", "s3:GetBucketPolicy"], "Resource": "*" }
    )];
    for world in worlds {
        fs::create_dir_all(root.join(world.bucket())).unwrap();
        for (number, object) in world.objects.iter().enumerate() {
            if object.has_path() {
                let path = root.join(world.bucket()).join(&object.key);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, object.content(number)).unwrap();
            }
        }
        granted.extend(statements(world));
    }
    let policy = json!({ "Version": "2012-10-17", "Statement": granted });
    let reader = Identity::new(READER).with_policy("reading", policy);
    let document = IamDocument::default().with_identity(reader);
    let genesys = flowlake_dev_stack::GenesysSettings::default();
    let stack = DevStack::builder(&root)
        .with_iam(document)
        .with_genesys(genesys);
    let stack = stack.start().await.unwrap();
    for world in worlds {
        for (number, object) in world.objects.iter().enumerate() {
            if !object.has_path() {
                let size = object.content(number).len() as u64;
                stack.list_key(&world.bucket(), &object.key, size);
            } else if let Some(class) = object.class {
                let state = ObjectState {
                    storage_class: Some(class.to_owned()),
                    ..ObjectState::default()
                };
                stack.set_object_state(&world.bucket(), &object.key, state);
            }
        }
    }
    let actions: Vec<String> = worlds.iter().map(World::action).collect();
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    let mut project = project(folder.path(), &stack, "", &actions);
    let of = |patterns: fn(&World) -> &[String]| -> Vec<String> {
        let entries = worlds.iter().flat_map(|world| {
            let entry = |pattern: &String| format!("s3://{}/{pattern}", world.bucket());
            patterns(world).iter().map(entry).collect::<Vec<_>>()
        });
        entries.collect()
    };
    project.config.policy.allow = of(|world| &world.allow);
    project.config.policy.deny = of(|world| &world.deny);
    let pipeline = Box::pin(Pipeline::builder(project).build(&variables())).await;
    House {
        pipeline: pipeline.unwrap(),
        stack,
        folder,
    }
}

/// What the lines of a cost of one item come to.
fn quantity(cost: &Value, item: &str) -> Decimal {
    let lines = cost["lines"].as_array().unwrap();
    let found = lines.iter().filter(|line| line["item"] == item);
    let quantities = found.map(|line| line["quantity"].as_str().unwrap());
    quantities
        .map(|quantity| quantity.parse::<Decimal>().unwrap())
        .sum()
}

/// What is wrong with a world, and whether its action was answered.
async fn run(house: &House, world: &World) -> Result<bool, String> {
    let expected = world.expected();
    let keys: BTreeSet<&str> = expected.keys().copied().collect();
    let ensure = |is_so: bool, what: &str| if is_so { Ok(()) } else { Err(what.to_owned()) };
    let before: BTreeMap<String, u64> = house.stack.s3().counts();
    let done = |operation: &str| {
        house.stack.s3().count(operation) - before.get(operation).copied().unwrap_or_default()
    };
    let outcome = house.run(&world.bucket(), json!({})).await;
    let asked = Asked {
        heads: done("HeadObject"),
        lists: done("ListObjectsV2"),
        gets: done("GetObject"),
    };
    let answer = match outcome {
        Ok(answer) => answer,
        Err((code, message)) => {
            let is_known = world.explains(code.as_str(), &asked);
            return ensure(is_known, &format!("[{code}] {message}")).map(|()| false);
        }
    };
    let rows = answer["data"].as_array().unwrap().iter();
    let read: BTreeSet<&str> = rows
        .map(|row| usize::try_from(row["n"].as_u64().unwrap()).unwrap())
        .map(|number| &*world.objects[number].key)
        .collect();
    ensure(read == keys, "read is found")?;
    ensure(
        keys.iter().all(|key| world.policy_allows(key)),
        "the policy allows each",
    )?;
    ensure(
        keys.iter().all(|key| world.iam_allows(key)),
        "IAM allows each",
    )?;
    let recorded = answer["audit_log"]["objects"].as_array().unwrap().iter();
    let recorded: BTreeSet<&str> = recorded
        .map(|object| object["key"].as_str().unwrap())
        .collect();
    ensure(recorded == keys, "recorded is found")?;
    let estimate = &answer["cost_tracking"]["estimate"];
    let priced = quantity(estimate, "GET requests") == Decimal::from(2 * keys.len());
    ensure(priced, "priced is found")?;
    let is_retrieved = expected.values().any(|object| object.class.is_some());
    let retrieval = quantity(estimate, "GLACIER_IR retrieval");
    ensure(is_retrieved != retrieval.is_zero(), "retrieval is priced")?;
    let (requests, resources) = asked_of_iam(house, &world.bucket());
    ensure(
        resources == keys.iter().map(|key| (*key).to_owned()).collect(),
        "IAM was asked about each",
    )?;
    if world.is_exact() {
        ensure(asked.lists == 0, "one object is not listed")?;
        return Ok(true);
    }
    ensure(asked.lists == 1, "listed once")?;
    let listing = house.stack.s3().received("ListObjectsV2").pop().unwrap();
    let prefix = listing.query.iter().find(|(name, _)| name == "prefix");
    let prefix = prefix.map_or("", |(_, prefix)| prefix.as_str());
    ensure(
        prefix == world.prefix(),
        "the listing is as narrow as it can be",
    )?;
    ensure(world.iam_lists(prefix), "IAM allows the listing")?;
    ensure(
        requests == [prefix.to_owned()].into(),
        "IAM is asked for the prefix that S3 is sent",
    )?;
    let warnings = answer["cost_tracking"]["warnings"].to_string();
    let unnamed = world.unnamed();
    let told = format!("{unnamed} objects at ");
    ensure(
        (unnamed == 0) != warnings.contains(&told),
        "what is left out is counted",
    )?;
    Ok(true)
}

/// The prefixes and the objects that IAM was asked about, of a bucket.
fn asked_of_iam(house: &House, bucket: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut prefixes, mut objects) = (BTreeSet::new(), BTreeSet::new());
    let arn = format!("arn:aws:s3:::{bucket}");
    for question in house.stack.aws().received("SimulatePrincipalPolicy") {
        let form = question.form();
        let resources = form
            .iter()
            .filter(|(name, _)| name.starts_with("ResourceArns."));
        for (_, resource) in resources {
            let Some(rest) = resource.strip_prefix(&arn) else {
                continue;
            };
            if let Some(key) = rest.strip_prefix('/') {
                objects.insert(key.to_owned());
            } else if rest.is_empty() {
                let name = form.iter().find(|(_, value)| *value == "s3:prefix");
                let name = name.unwrap().0;
                let value = name.replace("ContextKeyName", "ContextKeyValues.member.1");
                prefixes.insert(form[&value].clone());
            }
        }
    }
    (prefixes, objects)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how much to do, which only its caller knows"
)]
fn setting(name: &str, otherwise: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(otherwise, |text| text.parse().unwrap())
}

async fn worlds(shard: u64) {
    let from = setting("FLOWLAKE_WORLDS_FROM", 0);
    let worlds = setting("FLOWLAKE_WORLDS", WORLDS);
    let (mut answered, mut wrong) = (0_u64, String::new());
    let mut seed = from + shard * BATCH;
    while seed < from + worlds {
        let batch: Vec<World> = (seed..(seed + BATCH).min(from + worlds))
            .map(World::of)
            .collect();
        let house = house(&batch).await;
        for world in &batch {
            match run(&house, world).await {
                Ok(is_answer) => answered += u64::from(is_answer),
                Err(what) => writeln!(wrong, "{what}: {world:?}").unwrap(),
            }
        }
        seed += 2 * BATCH;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(
        worlds < WORLDS || answered * 20 > worlds,
        "only {answered} were answered"
    );
}

#[tokio::test]
async fn worlds_are_walked_from_the_request_to_the_record_0() {
    worlds(0).await;
}

#[tokio::test]
async fn worlds_are_walked_from_the_request_to_the_record_1() {
    worlds(1).await;
}
