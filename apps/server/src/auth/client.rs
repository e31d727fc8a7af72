//! A client of the configuration, with the room that it has.

use std::sync::Arc;

use flowlake_data_action::{ClientSettings, Clock};
use tokio::sync::Semaphore;

use crate::rate::Rate;

/// One client of the configuration.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) settings: ClientSettings,
    pub(crate) rate: Option<Rate>,
    pub(crate) slots: Option<Arc<Semaphore>>,
}

impl Client {
    pub(super) fn new(settings: ClientSettings, clock: &Arc<dyn Clock>) -> Arc<Self> {
        let rate = settings.rate.map(|rate| Rate::new(rate, Arc::clone(clock)));
        let slots = settings.max_concurrent_requests;
        Arc::new(Self {
            rate,
            slots: slots.map(|slots| Arc::new(Semaphore::new(slots))),
            settings,
        })
    }
}
