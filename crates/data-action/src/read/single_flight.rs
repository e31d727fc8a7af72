//! One execution of a question for all who ask it at the same time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::OnceCell;

use crate::{ActionError, ErrorCode};

/// Identical questions share one execution.
#[derive(Debug)]
pub(crate) struct SingleFlight<Q, T> {
    under_way: Mutex<HashMap<Q, Weak<Flight<T>>>>,
    shared: AtomicU64,
}

type Flight<T> = OnceCell<Result<T, ActionError>>;

/// A waiter. It alone holds its flight, so that dropping the last waiter, at its end or by cancellation, removes the flight from
/// the map.
struct Waiter<'a, Q: Eq + Hash, T> {
    flights: &'a SingleFlight<Q, T>,
    question: Q,
    flight: Option<Arc<Flight<T>>>,
}

impl<Q, T> Default for SingleFlight<Q, T> {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
            shared: AtomicU64::new(0),
        }
    }
}

impl<Q: Clone + Eq + Hash, T: Clone> SingleFlight<Q, T> {
    /// The answer of `work`, or of the same work that another attempt has begun. When that attempt ends without an answer, because
    /// it was dropped, cancelled or out of time, this one does its own work.
    pub(super) async fn share(
        &self,
        question: Q,
        work: impl Future<Output = Result<T, ActionError>>,
    ) -> Result<T, ActionError> {
        let mut work = Some(work);
        loop {
            let waiting = Waiter {
                flights: self,
                question: question.clone(),
                flight: Some(self.join(&question)),
            };
            // One waiter of the flight runs its own work, and the others wait for it. When the one that runs is dropped, the
            // cell lets another waiter run.
            let answer = waiting
                .flight()
                .get_or_init(async || {
                    let own = work
                        .take()
                        .expect("an attempt that worked has returned its own answer");
                    own.await
                })
                .await
                .clone();
            let worked = work.is_none();
            // The error of another attempt's time or caller says nothing about this one, which joins a new flight.
            if !worked && answer.as_ref().is_err_and(is_of_one_attempt) {
                self.forget(&question, waiting.flight());
                continue;
            }
            if !worked {
                self.shared.fetch_add(1, Relaxed);
            }
            return answer;
        }
    }

    /// Attempts that took the answer of another since the start.
    pub(crate) fn shared(&self) -> u64 {
        self.shared.load(Relaxed)
    }

    fn join(&self, question: &Q) -> Arc<Flight<T>> {
        let mut under_way = self.lock();
        if let Some(flight) = under_way.get(question).and_then(Weak::upgrade) {
            return flight;
        }
        let flight = Arc::default();
        under_way.insert(question.clone(), Arc::downgrade(&flight));
        flight
    }

    /// Removes a flight whose error concerns one attempt only. A newer flight of the same question stays.
    fn forget(&self, question: &Q, flight: &Arc<Flight<T>>) {
        let mut under_way = self.lock();
        let is_it = |found: &Weak<Flight<T>>| std::ptr::eq(found.as_ptr(), Arc::as_ptr(flight));
        if under_way.get(question).is_some_and(is_it) {
            under_way.remove(question);
        }
    }
}

impl<Q, T> SingleFlight<Q, T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<Q, Weak<Flight<T>>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q: Eq + Hash, T> Waiter<'_, Q, T> {
    const fn flight(&self) -> &Arc<Flight<T>> {
        self.flight
            .as_ref()
            .expect("a waiter lets go of its flight when it is dropped")
    }
}

impl<Q: Eq + Hash, T> Drop for Waiter<'_, Q, T> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
        // Before the count is looked at, or the last waiter would count itself.
        self.flight = None;
        let is_over = |flight: &Weak<Flight<T>>| flight.strong_count() == 0;
        if under_way.get(&self.question).is_some_and(is_over) {
            under_way.remove(&self.question);
        }
    }
}

/// Whether an error concerns the attempt that worked and not the question: its time was over, or its caller gone.
fn is_of_one_attempt(error: &ActionError) -> bool {
    matches!(error.code(), ErrorCode::LimitTimeout | ErrorCode::Cancelled)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;
    use tokio::sync::Notify;

    use super::SingleFlight;
    use crate::{ActionError, ErrorCode};

    #[tokio::test]
    async fn the_same_question_is_answered_once_and_another_by_itself() {
        let flights = SingleFlight::<&str, u32>::default();
        let go = Notify::new();
        let slow = flights.share("a", async {
            go.notified().await;
            Ok(1)
        });
        let same = flights.share("a", async { Ok(2) });
        let other = flights.share("b", async {
            go.notify_one();
            Ok(3)
        });
        let answers = futures::join!(slow, same, other);
        assert_eq!(
            (answers.0.unwrap(), answers.1.unwrap(), answers.2.unwrap()),
            (1, 1, 3)
        );
        assert_eq!(flights.shared(), 1);
        assert!(flights.lock().is_empty());
        assert_eq!(flights.share("a", async { Ok(4) }).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn a_waiter_does_its_own_work_when_the_first_is_cancelled() {
        let flights = Arc::new(SingleFlight::<&str, u32>::default());
        let first = {
            let flights = Arc::clone(&flights);
            tokio::spawn(async move { flights.share("a", std::future::pending()).await })
        };
        tokio::task::yield_now().await;
        let second = {
            let flights = Arc::clone(&flights);
            tokio::spawn(async move { flights.share("a", async { Ok(2) }).await })
        };
        tokio::task::yield_now().await;
        first.abort();
        assert_eq!(second.await.unwrap().unwrap(), 2);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_lone_caller_that_is_cancelled_leaves_nothing() {
        let flights = SingleFlight::<u32, u32>::default();
        for question in 0..1_000 {
            let begun = flights.share(question, std::future::pending());
            assert!(begun.now_or_never().is_none());
        }
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn waiters_share_a_failure_of_the_question() {
        let flights = SingleFlight::<&str, u32>::default();
        let go = Notify::new();
        let failing = flights.share("a", async {
            go.notified().await;
            Err(ActionError::new(ErrorCode::LimitMemory, "no", "none"))
        });
        let same = flights.share("a", async { Ok(2) });
        let wake = async { go.notify_one() };
        let (one, other, ()) = futures::join!(failing, same, wake);
        for error in [one.unwrap_err(), other.unwrap_err()] {
            assert_eq!(error.code(), ErrorCode::LimitMemory);
        }
    }

    #[tokio::test]
    async fn a_late_joiner_keeps_its_own_time_limit() {
        let flights = SingleFlight::<&str, u32>::default();
        let go = Notify::new();
        let first = flights.share("a", async {
            go.notified().await;
            Err(ActionError::new(ErrorCode::LimitTimeout, "no", "none"))
        });
        let later = flights.share("a", async {
            tokio::task::yield_now().await;
            Ok(2)
        });
        // Later joiners share the new answer.
        let last = flights.share("a", async { Ok(3) });
        let wake = async { go.notify_one() };
        let (first, later, last, ()) = futures::join!(first, later, last, wake);
        assert_eq!(first.unwrap_err().code(), ErrorCode::LimitTimeout);
        assert_eq!((later.unwrap(), last.unwrap()), (2, 2));
        assert_eq!(flights.shared(), 1);
        assert!(flights.lock().is_empty());
    }
}
