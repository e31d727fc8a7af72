//! What the queue takes, and what the writer waits for.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::*;

const NOW: Duration = Duration::ZERO;

/// So long that a test which waits for its end hangs.
const NEVER: Duration = Duration::from_secs(3600);

const ALONE: Gather = Gather {
    records: 1,
    limit: NEVER,
};

fn push(queue: &Queue, record: &str) -> Result<(), Refused> {
    queue.push(record, oneshot::channel().0)
}

fn queue(records: &[&str]) -> Queue {
    let queue = Queue::new(4);
    for record in records {
        push(&queue, record).unwrap();
    }
    queue
}

fn take(queue: &Queue, gather: Gather, idle: Duration) -> Result<Vec<String>, Empty> {
    let mut batch = Batch::default();
    queue.take(gather, idle, &mut batch)?;
    let records: Vec<String> = batch.records().map(str::to_owned).collect();
    assert_eq!(records.len(), batch.len());
    Ok(records)
}

/// Does it in another thread, when this one waits.
fn later(queue: &Arc<Queue>, act: impl FnOnce(&Queue) + Send + 'static) -> JoinHandle<()> {
    let queue = Arc::clone(queue);
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        act(&queue);
    })
}

#[test]
fn all_that_wait_leave_at_once_in_the_order_they_came() {
    let queue = queue(&["a", "bb", ""]);
    assert_eq!(queue.len(), 3);
    assert_eq!(take(&queue, ALONE, NEVER).unwrap(), ["a", "bb", ""]);
    assert_eq!(take(&queue, ALONE, NOW), Err(Empty::Idle));
    push(&queue, "c").unwrap();
    assert_eq!(take(&queue, ALONE, NEVER).unwrap(), ["c"]);
}

#[test]
fn a_full_queue_takes_no_more() {
    let queue = queue(&["a", "b", "c", "d"]);
    assert!(matches!(push(&queue, "e"), Err(Refused::Full(_))));
    // Nor does the writer wait for more than it holds.
    let five = Gather {
        records: 5,
        limit: NEVER,
    };
    assert_eq!(take(&queue, five, NEVER).unwrap(), ["a", "b", "c", "d"]);
    push(&queue, "e").unwrap();
}

#[test]
fn who_is_expected_is_waited_for_and_no_longer_than_said() {
    let queue = Arc::new(queue(&["a"]));
    let late = later(&queue, |queue| {
        push(queue, "b").unwrap();
        thread::sleep(Duration::from_millis(5));
        push(queue, "c").unwrap();
    });
    let three = Gather {
        records: 3,
        limit: NEVER,
    };
    assert_eq!(take(&queue, three, NEVER).unwrap(), ["a", "b", "c"]);
    late.join().unwrap();

    push(&queue, "d").unwrap();
    let limited = Gather {
        limit: Duration::from_millis(1),
        ..three
    };
    assert_eq!(take(&queue, limited, NEVER).unwrap(), ["d"]);
}

#[test]
fn the_first_of_an_idle_time_wakes_the_writer() {
    let queue = Arc::new(queue(&[]));
    let late = later(&queue, |queue| push(queue, "a").unwrap());
    let gather = Gather {
        records: 3,
        limit: Duration::from_millis(1),
    };
    assert_eq!(take(&queue, gather, NEVER).unwrap(), ["a"]);
    late.join().unwrap();
}

#[test]
fn a_closed_queue_gives_what_it_has_and_takes_nothing() {
    let queue = queue(&["a"]);
    queue.close();
    assert!(matches!(push(&queue, "b"), Err(Refused::Closed)));
    assert_eq!(take(&queue, ALONE, NEVER).unwrap(), ["a"]);
    assert_eq!(take(&queue, ALONE, NEVER), Err(Empty::Closed));
}

#[test]
fn closing_wakes_the_writer() {
    let queue = Arc::new(queue(&[]));
    let closer = later(&queue, Queue::close);
    assert_eq!(take(&queue, ALONE, NEVER), Err(Empty::Closed));
    closer.join().unwrap();
}

#[test]
fn without_a_writer_every_caller_is_told() {
    let queue = Queue::new(4);
    let (reply, mut answer) = oneshot::channel();
    queue.push("a", reply).unwrap();
    queue.abandon();
    assert_eq!(
        answer.try_recv().unwrap_err(),
        oneshot::error::TryRecvError::Closed
    );
    assert!(matches!(push(&queue, "b"), Err(Refused::Closed)));
}
