//! The server's events. containerd has them since 1.7, CRI-O since 1.26.

use super::connection::Connection;
use super::messages::{ContainerEventResponse, GetEventsRequest};
use super::{CriEndpoint, Error, QUESTION};
use futures_util::FutureExt;
use tonic::codec::Streaming;

/// Events that are taken together, if they are there.
const AT_A_TIME: usize = 256;

pub(crate) struct Watch {
    connection: Connection,
    /// `None` until the server has said something.
    events: Option<Streaming<ContainerEventResponse>>,
}

impl Watch {
    /// Connects to the server.
    ///
    /// # Errors
    /// If nobody listens there.
    pub(crate) async fn begin(endpoint: &CriEndpoint) -> Result<Watch, Error> {
        Ok(Watch { connection: Connection::open(endpoint, QUESTION).await?, events: None })
    }

    /// Waits until something has happened to a pod or a container.
    ///
    /// # Errors
    /// If the server has ended the stream; [`Error::Unserved`] if it has none.
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
        // Should the stream end here, the next call finds it ended.
        let mut more = 1..AT_A_TIME;
        while more.next().is_some() && matches!(events.message().now_or_never(), Some(Ok(Some(_)))) {}
        Ok(())
    }
}
