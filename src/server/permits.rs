//! `--web.max-requests`: permits for the requests that are served at the same time.

use super::connections::Connections;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A client that takes longer than this over an answer loses its permit to the next request.
const PATIENCE: Duration = Duration::from_secs(3);

/// The time to wait for the permit of a connection that was closed for this request: another may take it.
const TURNOVER: Duration = Duration::from_millis(100);

/// The permits for requests that are served at the same time.
pub(crate) struct ScrapePermits {
    /// `None` for any number.
    permits: Option<Arc<Semaphore>>,
    connections: Connections,
}

/// The error of a request without a permit: all are held by clients that are fast enough.
#[derive(Debug)]
pub(crate) struct Full;

impl ScrapePermits {
    /// Makes this many permits; 0 for any number.
    pub(crate) fn new(number: usize, connections: Connections) -> ScrapePermits {
        ScrapePermits { permits: (number > 0).then(|| Arc::new(Semaphore::new(number))), connections }
    }

    /// Takes a permit. If none is free, closes the slowest answer, provided that it has lasted for long.
    ///
    /// # Errors
    /// Fails if all permits are held by answers that have not had them for long.
    pub(crate) async fn acquire(&self) -> Result<Option<OwnedSemaphorePermit>, Full> {
        let Some(permits) = &self.permits else { return Ok(None) };
        if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
            return Ok(Some(permit));
        }
        if !self.connections.close_slowest(PATIENCE, Instant::now()) {
            return Err(Full);
        }
        match tokio::time::timeout(TURNOVER, Arc::clone(permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(Full),
        }
    }
}
