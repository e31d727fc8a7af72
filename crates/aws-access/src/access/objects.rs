//! Whether the objects that a listing found may be read: many in one question to IAM, and one answer for all.

use std::{collections::BTreeSet, sync::Arc};

use super::{Access, Allowance, Entry};
use crate::{AccessMode, AccessRequest, Decision, Effect, Error, Identity, request::object_arn};

/// Resources in one question.
const BATCH: usize = 100;

/// The most objects of one listing that IAM is asked about.
const MOST_ASKED: usize = 1000;

/// The objects of one listing.
#[derive(Debug, Clone, Copy)]
pub struct ObjectsRequest<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// The keys that were found.
    pub keys: &'a [&'a str],
    /// What they were found by, as IAM writes it, such as `calls/*`: advice allows this, and no object alone.
    pub pattern: &'a str,
}

impl Access {
    /// Whether all objects may be read: the first denial, or one decision about all of them. Of more than a thousand objects, a
    /// thousand are asked about, some of each folder: S3 decides on each object when it is read.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub async fn check_objects(
        &self,
        request: &ObjectsRequest<'_>,
    ) -> Result<Option<Arc<Decision>>, Error> {
        let identity = self.identity().await?;
        let asked = sample(request.keys, MOST_ASKED);
        let questions = asked
            .iter()
            .map(|key| AccessRequest::read_listed(request.bucket, key));
        let questions: Vec<_> = questions.collect();
        let Some(first) = questions.first() else {
            return Ok(None);
        };
        // A HEAD and a GET of each would ask S3 as much as the read itself.
        if self.mode() == AccessMode::Probe {
            let decision = Decision::new(&identity, first, Effect::Allowed)
                .left_to_s3("objects of a listing are not probed");
            return Ok(Some(Arc::new(about_all(decision, &identity, request, 0))));
        }
        let mut worst = Worst::default();
        let unknown = self.without_known(questions, &mut worst).await;
        if !unknown.is_empty() && !worst.is_denial() {
            // One attempt asks; the others that came for the same objects meanwhile find its answers.
            let turn = format!("{}/{}", request.bucket, request.pattern);
            let turn = self.shared.turns.get_with(turn, async { Arc::default() });
            let turn = turn.await;
            let _turn = turn.lock().await;
            let unknown = self.without_known(unknown, &mut worst).await;
            self.ask(&unknown, &mut worst).await?;
        }
        Ok(worst.0.map(|(question, worst)| {
            let worst = Arc::unwrap_or_clone(worst);
            Arc::new(if worst.effect == Effect::Allowed {
                about_all(worst, &identity, request, asked.len())
            } else {
                worst.with_remedy_for(&question, &pattern_arn(&identity, request))
            })
        }))
    }

    /// The questions whose answers are not known.
    async fn without_known(
        &self,
        questions: Vec<AccessRequest>,
        worst: &mut Worst,
    ) -> Vec<AccessRequest> {
        let mut unknown = Vec::new();
        for question in questions {
            match self.known(&question).await {
                Some(decision) => worst.note(&question, &decision),
                None => unknown.push(question),
            }
        }
        unknown
    }

    /// Asks in batches, up to the first that has a denial, and keeps the answers.
    async fn ask(&self, questions: &[AccessRequest], worst: &mut Worst) -> Result<(), Error> {
        let mut allowance = Allowance::default();
        for batch in questions.chunks(BATCH) {
            if worst.is_denial() {
                break;
            }
            let (decisions, is_kept) = Box::pin(self.decide(batch, &mut allowance)).await?;
            for (question, decision) in batch.iter().zip(decisions) {
                let decision = Arc::new(decision);
                worst.note(question, &decision);
                if is_kept {
                    let entry = Entry {
                        at: self.shared.clock.now(),
                        is_kept,
                        decision,
                    };
                    self.shared.decisions.insert(question.clone(), entry).await;
                }
            }
        }
        Ok(())
    }
}

/// The answer that decides on all, with its question.
#[derive(Debug, Default)]
struct Worst(Option<(AccessRequest, Arc<Decision>)>);

impl Worst {
    fn note(&mut self, question: &AccessRequest, decision: &Arc<Decision>) {
        let is_worse = |(_, worst): &(_, Arc<Decision>)| decision.is_worse_than(worst);
        if self.0.as_ref().is_none_or(is_worse) {
            self.0 = Some((question.clone(), Arc::clone(decision)));
        }
    }

    fn is_denial(&self) -> bool {
        let worst = self.0.as_ref();
        worst.is_some_and(|(_, worst)| !worst.allowed)
    }
}

fn pattern_arn(identity: &Identity, request: &ObjectsRequest<'_>) -> String {
    object_arn(identity.partition(), request.bucket, request.pattern)
}

/// A decision on one of the objects as that on all of them, which are allowed.
fn about_all(
    mut decision: Decision,
    identity: &Identity,
    request: &ObjectsRequest<'_>,
    asked: usize,
) -> Decision {
    let resource = pattern_arn(identity, request);
    decision.reason = decision.reason.replace(&decision.resource, &resource);
    decision.resource = resource;
    // Another statement may have allowed another object.
    decision.matched.clear();
    let found = request.keys.len();
    if asked == found {
        decision
            .notes
            .push(format!("each of the {found} objects was asked about"));
    } else {
        decision.notes.push(format!(
            "{asked} of {found} objects were asked about: S3 decides on each when it is read"
        ));
    }
    decision.notes.push(
        "rights to versions and KMS keys (s3:GetObjectVersion, kms:Decrypt) were not asked about: a listing does not name them"
            .to_owned(),
    );
    decision
}

/// At most `most` of the keys: the first of each folder, then others at even distances.
fn sample<'a>(keys: &[&'a str], most: usize) -> Vec<&'a str> {
    if keys.len() <= most {
        return keys.to_vec();
    }
    let mut chosen = BTreeSet::new();
    let mut folders = BTreeSet::new();
    for (index, key) in keys.iter().enumerate() {
        let folder = key.rfind('/').map_or("", |slash| &key[..slash]);
        if chosen.len() < most && folders.insert(folder) {
            chosen.insert(index);
        }
    }
    let left = most - chosen.len();
    let others: Vec<_> = (0..keys.len())
        .filter(|index| !chosen.contains(index))
        .collect();
    chosen.extend((0..left).map(|step| others[step * others.len() / left]));
    chosen.into_iter().map(|index| keys[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::sample;

    #[test]
    fn a_sample_has_some_of_each_folder_and_is_spread() {
        let keys: Vec<_> = (0..95).map(|number| format!("a/{number:02}")).collect();
        let mut keys: Vec<_> = keys.iter().map(String::as_str).collect();
        keys.extend(["b/0", "b/1", "c/0", "d/x/0", "top"]);
        assert_eq!(sample(&keys, 100), keys);
        let some = sample(&keys, 10);
        assert_eq!(some.len(), 10);
        for first in ["a/00", "b/0", "c/0", "d/x/0", "top"] {
            assert!(some.contains(&first), "{first} of {some:?}");
        }
        assert!(
            some.iter().any(|key| *key > "a/50" && *key < "b"),
            "{some:?}"
        );
        assert_eq!(sample(&keys, 3).len(), 3);
    }
}
