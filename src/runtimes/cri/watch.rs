//! The server's events. containerd supports them since 1.7, CRI-O since 1.26.

use super::connection::CriConnection;
use super::messages::{ContainerEventResponse, GetEventsRequest};
use super::{CriEndpoint, Error, QUESTION};
use futures_util::FutureExt;
use tonic::codec::Streaming;

/// The most events that are read together, if they have already arrived.
const AT_A_TIME: usize = 256;

pub(crate) struct CriWatch {
    connection: CriConnection,
    /// `None` until the server has answered the subscription.
    events: Option<Streaming<ContainerEventResponse>>,
}

impl CriWatch {
    /// Connects to the server.
    ///
    /// # Errors
    /// If no server listens at the endpoint.
    pub(crate) async fn begin(endpoint: &CriEndpoint) -> Result<CriWatch, Error> {
        Ok(CriWatch { connection: CriConnection::open(endpoint, QUESTION).await?, events: None })
    }

    /// Waits until a pod or a container changes.
    ///
    /// # Errors
    /// If the server has ended the stream; [`Error::Unserved`] if it does not support events.
    pub(crate) async fn news(&mut self) -> Result<(), Error> {
        let events = match &mut self.events {
            Some(events) => events,
            None => self.events.insert(self.connection.listen(GetEventsRequest {}).await?),
        };
        match events.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Err(self.connection.ended()),
            Err(status) => return Err(self.connection.classify(&status)),
        }
        // If the stream ends here, the next call reports the end.
        let mut more = 1..AT_A_TIME;
        while more.next().is_some() && matches!(events.message().now_or_never(), Some(Ok(Some(_)))) {}
        Ok(())
    }
}
