//! The threads of whatever reads files, apart from those that answer from memory and refuse.
//!
//! Reading and decoding can keep every processor busy for seconds. In threads of a lower priority they take what look-ups leave:
//! the scheduler hands a processor over as soon as a thread of normal priority has something to do. Decoders start their threads
//! from these ones, and inherit the priority.

use std::{io, sync::Once};

use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};
use tokio::runtime::{Builder, Runtime};

/// The priority of the threads, from 0 to 99. On Linux, 25 is a niceness of 9, whose threads get a tenth of what those of normal priority do while both want to run. A
/// lower one would leave a lock for long with a scan that holds it while the processors are busy.
const PRIORITY: u8 = 25;

/// Makes a runtime for [`PipelineBuilder::with_scans_on`](flowlake_data_action::PipelineBuilder::with_scans_on).
///
/// # Errors
/// When the system gives no threads.
pub fn scan_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .enable_all()
        .thread_name("scan")
        .on_thread_start(lower_priority)
        .build()
}

fn lower_priority() {
    static LOGGED: Once = Once::new();
    let value = ThreadPriorityValue::try_from(PRIORITY).expect("it is below 100");
    if let Err(error) = set_current_thread_priority(ThreadPriority::Crossplatform(value)) {
        LOGGED.call_once(|| {
            tracing::warn!(%error, "scans run at normal priority: look-ups may wait for them");
        });
    }
}
