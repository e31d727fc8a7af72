//! What a read takes: the objects are found once, checked by the policy once more, and handed to the engine as they are.

mod find;

use flowlake_transform::{Files, Prepared, TableLocation};

use self::find::{Found, find};
use crate::{ActionError, ReadPolicy, stores::RequestStores};

/// What an attempt is going to read.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    /// The files of each table.
    pub(crate) files: Files,
    /// The same objects, as their price needs them.
    pub(crate) objects: Vec<PlannedObject>,
    /// LIST requests that finding them took.
    pub(crate) list_requests: u64,
}

/// One object that is going to be read.
#[derive(Debug)]
pub(crate) struct PlannedObject {
    pub(crate) size: u64,
    pub(crate) storage_class: Option<String>,
}

impl ReadPlan {
    /// Finds the objects of each location: by a HEAD where it names one, by a listing where it names more.
    ///
    /// Each object must be allowed by itself too, though its location was: the two answers come from different code.
    pub(crate) async fn find(
        policy: &ReadPolicy,
        prepared: &Prepared,
        locations: &[TableLocation],
        stores: &RequestStores,
    ) -> Result<Self, ActionError> {
        let (mut files, mut objects, mut list_requests) = (Vec::new(), Vec::new(), 0);
        for table in locations {
            let bucket = table.location.bucket();
            let view = stores.view(bucket)?;
            let Found {
                files: found,
                objects: planned,
                list_requests: lists,
            } = find(prepared, table, &view).await?;
            for object in &found.objects {
                policy.check_key(bucket, object.location.as_ref())?;
            }
            files.push(found);
            objects.extend(planned);
            list_requests += lists;
        }
        Ok(Self {
            files: Files::try_new(prepared, files)?,
            objects,
            list_requests,
        })
    }

    /// What whoever reads the answer should know of the objects.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let found = self.files.found().iter().filter(|found| found.unnamed > 0);
        found.map(|found| {
            format!(
                "{} objects at {} are left out: their keys have empty, `.` or `..` segments, a final `/` or control characters",
                found.unnamed, found.table.location
            )
        })
    }
}
