//! The second step: what will be read? The objects are found once, each is allowed by policy and IAM, and the engine is given
//! those versions and no others.

use flowlake_profiler::Phase;
use flowlake_transform::{Files, Prepared, TableLocation};

use crate::{
    ActionError, Planned, access,
    attempt::Attempt,
    find::{Found, FoundObject, find_in},
    services::Services,
    stores::RequestStores,
    versions::Versions,
};

/// What an attempt is going to read.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    /// The files of each table.
    pub(crate) files: Files,
    /// Those on S3, as their price needs them.
    pub(crate) objects: Vec<FoundObject>,
    /// The versions of all of them.
    pub(crate) versions: Versions,
    /// LIST requests that finding them took.
    pub(crate) list_requests: u64,
}

impl ReadPlan {
    /// The read of what was found at each location of a query.
    pub(crate) fn try_new(prepared: &Prepared, found: Vec<Found>) -> Result<Self, ActionError> {
        let (mut files, mut objects, mut list_requests) = (Vec::new(), Vec::new(), 0);
        let mut versions = Versions::default();
        for found in found {
            let is_local = found.files.table.location.is_local();
            files.push(found.files);
            if !is_local {
                objects.extend(found.objects);
                list_requests += found.list_requests;
            }
            versions.extend(found.versions);
        }
        Ok(Self {
            files: Files::try_new(prepared, files)?,
            objects,
            versions,
            list_requests,
        })
    }
}

impl ReadPlan {
    /// How much is going to be read at most.
    pub(crate) fn size(&self) -> Planned {
        let mut size = Planned { files: 0, bytes: 0 };
        for (_, object) in self.files.objects() {
            size.files += 1;
            size.bytes += object.size;
        }
        size
    }
}

/// Finds what an attempt is going to read, and asks whether it may be.
pub(crate) async fn plan(
    services: &Services,
    attempt: &Attempt,
    prepared: &Prepared,
    locations: &[TableLocation],
    stores: &RequestStores,
) -> Result<ReadPlan, ActionError> {
    let finding = async {
        let mut found = Vec::with_capacity(locations.len());
        for table in locations {
            found.push(find_in(stores, &services.policy, prepared, table).await?);
        }
        Ok::<_, ActionError>(found)
    };
    let found = attempt.phase(Phase::Metadata, finding).await?;
    {
        let mut draft = attempt.draft();
        draft.files_left_out = found.iter().map(|found| found.left_out().count()).sum();
        for warning in found.iter().filter_map(Found::warning) {
            draft.warn(warning);
        }
    }
    let asking = async {
        for found in &found {
            access::found(&services.access, found, attempt.note()).await?;
        }
        Ok::<_, ActionError>(())
    };
    attempt.phase(Phase::Access, asking).await?;
    ReadPlan::try_new(prepared, found)
}
