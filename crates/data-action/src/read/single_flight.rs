//! One execution of a question for all who ask it at the same time.

use std::{
    collections::HashMap,
    fmt::Write as _,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use flowlake_transform::{BoundParams, BoundValue, HotView, RowFormat, json::JsonReader};
use tokio::sync::OnceCell;

use crate::{ActionError, ErrorCode, RowOutput};

/// What makes two questions the same. The caller is no part of it: a process reads as one principal, and each attempt has been
/// allowed by itself before it comes here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    action: String,
    params: String,
    version: u64,
    format: RowFormat,
    reader: JsonReader,
}

/// Identical questions share one execution.
#[derive(Debug)]
pub(crate) struct SingleFlight<Q, T> {
    under_way: Mutex<HashMap<Q, Weak<Flight<T>>>>,
    shared: AtomicU64,
}

type Flight<T> = OnceCell<Result<T, ActionError>>;

/// A waiter. Dropping the last one removes the flight from the map.
struct Waiting<'a, Q: Eq + Hash, T> {
    flights: &'a SingleFlight<Q, T>,
    question: Q,
    flight: Option<Arc<Flight<T>>>,
}

impl Question {
    pub(super) fn new(
        action: &str,
        bound: &BoundParams,
        view: &HotView,
        output: &RowOutput,
    ) -> Self {
        let mut params = String::new();
        for (name, value, _) in bound.entries() {
            params.push_str(name);
            write_value(&mut params, value);
        }
        Self {
            action: action.to_owned(),
            params,
            version: view.version(),
            format: output.format,
            reader: output.reader,
        }
    }
}

/// Each value behind its length, so that no two lists of values are written alike.
fn write_value(out: &mut String, value: &BoundValue) {
    if let BoundValue::List(_, items) = value {
        let _ = write!(out, "[{}]", items.len());
        items.iter().for_each(|item| write_value(out, item));
        return;
    }
    let text = value.to_string();
    let _ = write!(out, "={}:{text};", text.len());
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
            let flight = self.join(&question);
            let waiting = Waiting {
                flights: self,
                question: question.clone(),
                flight: Some(Arc::clone(&flight)),
            };
            let answer = flight
                .get_or_init(async || {
                    let own = work
                        .take()
                        .expect("an attempt that worked has returned its own answer");
                    own.await
                })
                .await
                .clone();
            let worked = work.is_none();
            if !worked && answer.as_ref().is_err_and(is_of_one_attempt) {
                self.forget(&question, &flight);
                continue;
            }
            if !worked {
                self.shared.fetch_add(1, Relaxed);
            }
            drop(flight);
            drop(waiting);
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

impl<Q: Eq + Hash, T> Drop for Waiting<'_, Q, T> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock();
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

    use flowlake_transform::{RowFormat, json::JsonReader};
    use tokio::sync::Notify;

    use super::{Question, SingleFlight};
    use crate::{ActionError, ErrorCode};

    fn question(params: &str) -> Question {
        Question {
            action: "who".to_owned(),
            params: params.to_owned(),
            version: 1,
            format: RowFormat::Json,
            reader: JsonReader::Program,
        }
    }

    #[tokio::test]
    async fn the_same_question_is_answered_once_and_another_by_itself() {
        let flights = SingleFlight::<Question, u32>::default();
        let go = Notify::new();
        let slow = flights.share(question("a"), async {
            go.notified().await;
            Ok(1)
        });
        let same = flights.share(question("a"), async { Ok(2) });
        let other = flights.share(question("b"), async {
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
        assert_eq!(
            flights.share(question("a"), async { Ok(4) }).await.unwrap(),
            4
        );
    }

    #[tokio::test]
    async fn who_waits_goes_on_where_the_first_gave_up_and_shares_its_failure_where_it_failed() {
        let flights = Arc::new(SingleFlight::<Question, u32>::default());
        let first = {
            let flights = Arc::clone(&flights);
            tokio::spawn(async move { flights.share(question("a"), std::future::pending()).await })
        };
        tokio::task::yield_now().await;
        let second = {
            let flights = Arc::clone(&flights);
            tokio::spawn(async move { flights.share(question("a"), async { Ok(2) }).await })
        };
        tokio::task::yield_now().await;
        first.abort();
        assert_eq!(second.await.unwrap().unwrap(), 2);
        assert!(flights.lock().is_empty());

        let go = Notify::new();
        let failing = flights.share(question("a"), async {
            go.notified().await;
            Err(ActionError::new(ErrorCode::LimitMemory, "no", "none"))
        });
        let same = flights.share(question("a"), async { Ok(2) });
        let wake = async { go.notify_one() };
        let (one, other, ()) = futures::join!(failing, same, wake);
        for error in [one.unwrap_err(), other.unwrap_err()] {
            assert_eq!(error.code(), ErrorCode::LimitMemory);
        }
    }
    #[tokio::test]
    async fn a_late_joiner_keeps_its_own_time_limit() {
        let flights = SingleFlight::<Question, u32>::default();
        let go = Notify::new();
        let first = flights.share(question("a"), async {
            go.notified().await;
            Err(ActionError::new(ErrorCode::LimitTimeout, "no", "none"))
        });
        let later = flights.share(question("a"), async {
            tokio::task::yield_now().await;
            Ok(2)
        });
        // Later joiners share the new answer.
        let last = flights.share(question("a"), async { Ok(3) });
        let wake = async { go.notify_one() };
        let (first, later, last, ()) = futures::join!(first, later, last, wake);
        assert_eq!(first.unwrap_err().code(), ErrorCode::LimitTimeout);
        assert_eq!((later.unwrap(), last.unwrap()), (2, 2));
        assert_eq!(flights.shared(), 1);
        assert!(flights.lock().is_empty());
    }
}
