//! What the queue takes, and what the writer waits for.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
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

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Pushes where there is room.
fn push(queue: &Queue, record: &str) -> Result<(), Closed> {
    match poll(pin!(queue.push(record, oneshot::channel().0))) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the queue is full"),
    }
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
    assert!(poll(pin!(queue.push("e", oneshot::channel().0))).is_pending());
    // Nor does the writer wait for more than it holds.
    let five = Gather {
        records: 5,
        limit: NEVER,
    };
    assert_eq!(take(&queue, five, NEVER).unwrap(), ["a", "b", "c", "d"]);
    push(&queue, "e").unwrap();
}

#[test]
fn callers_that_find_it_full_come_in_the_order_they_asked() {
    let queue = Queue::new(1);
    push(&queue, "a").unwrap();
    let mut first = pin!(queue.push("b", oneshot::channel().0));
    let mut second = pin!(queue.push("c", oneshot::channel().0));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(take(&queue, ALONE, NEVER).unwrap(), ["a"]);
    // The free place is the first one's, also when another looks sooner.
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(pin!(queue.push("d", oneshot::channel().0))).is_pending());
    assert_eq!(poll(first.as_mut()), Poll::Ready(Ok(())));
    assert_eq!(take(&queue, ALONE, NEVER).unwrap(), ["b"]);
    assert_eq!(poll(second.as_mut()), Poll::Ready(Ok(())));
    assert_eq!(take(&queue, ALONE, NEVER).unwrap(), ["c"]);
}

#[test]
fn a_caller_that_waits_for_room_gets_an_error_at_the_end() {
    let queue = Queue::new(1);
    push(&queue, "a").unwrap();
    let mut waiting = pin!(queue.push("b", oneshot::channel().0));
    assert!(poll(waiting.as_mut()).is_pending());
    queue.close();
    assert_eq!(poll(waiting.as_mut()), Poll::Ready(Err(Closed)));
    assert_eq!(take(&queue, ALONE, NEVER).unwrap(), ["a"]);
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
    assert_eq!(push(&queue, "b"), Err(Closed));
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
fn without_a_writer_every_caller_gets_an_error() {
    let queue = Queue::new(4);
    let (reply, mut answer) = oneshot::channel();
    assert_eq!(poll(pin!(queue.push("a", reply))), Poll::Ready(Ok(())));
    queue.abandon();
    assert_eq!(
        answer.try_recv().unwrap_err(),
        oneshot::error::TryRecvError::Closed
    );
    assert_eq!(push(&queue, "b"), Err(Closed));
}
