//! What happens to an attempt whose caller goes away before it has ended.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// An attempt that somebody waits for. Where they go away before its end, it is cancelled, and ends in a task of its own.
///
/// While they wait it runs in their task: a task for each would cost as much as a small attempt itself.
pub(crate) struct CancelOnDrop<F: Future<Output: Send> + Send + 'static> {
    attempt: Option<Pin<Box<F>>>,
    cancellation: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> CancelOnDrop<F> {
    pub(crate) fn new(attempt: F, cancellation: CancellationToken) -> Self {
        Self {
            attempt: Some(Box::pin(attempt)),
            cancellation,
        }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for CancelOnDrop<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let attempt = self
            .attempt
            .as_mut()
            .expect("it is not polled after its end");
        let output = ready!(attempt.as_mut().poll(context));
        self.attempt = None;
        Poll::Ready(output)
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for CancelOnDrop<F> {
    fn drop(&mut self) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        self.cancellation.cancel();
        // Without a runtime the process is ending.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(attempt);
        }
    }
}
