//! `--web.max-requests`: who may be served metrics at the same time.

use super::connections::Connections;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who takes longer over an answer loses the place to who asks next.
const PATIENCE: Duration = Duration::from_secs(3);

/// A place is free at once when its connection is closed; but another may be faster to take it.
const TURNOVER: Duration = Duration::from_millis(100);

/// The places there are.
pub(crate) struct ScrapePermits {
    /// `None` for any number.
    places: Option<Arc<Semaphore>>,
    connections: Connections,
}

#[derive(Debug)]
pub(crate) struct Full;

impl ScrapePermits {
    /// So many of them, 0 for any number.
    pub(crate) fn new(number: usize, connections: Connections) -> ScrapePermits {
        ScrapePermits { places: (number > 0).then(|| Arc::new(Semaphore::new(number))), connections }
    }

    /// A place; that of the slowest client if none is free and it has had it for long.
    ///
    /// # Errors
    /// If all are taken by clients that have not had them for long.
    pub(crate) async fn acquire(&self) -> Result<Option<OwnedSemaphorePermit>, Full> {
        let Some(places) = &self.places else { return Ok(None) };
        if let Ok(permit) = Arc::clone(places).try_acquire_owned() {
            return Ok(Some(permit));
        }
        if !self.connections.close_slowest(PATIENCE, Instant::now()) {
            return Err(Full);
        }
        match tokio::time::timeout(TURNOVER, Arc::clone(places).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(Full),
        }
    }
}
