//! The server's events. containerd supports them since 1.7, CRI-O since 1.26.

use super::connection::CriConnection;
use super::messages::{ContainerEventResponse, GetEventsRequest};
use super::{CriEndpoint, Error, QUESTION};
use crate::runtimes::calls::Calls;
use futures_util::FutureExt;
use std::pin::Pin;
use tonic::codec::Streaming;

/// The most events that are read together, if they have already arrived.
const AT_A_TIME: usize = 256;

type Subscription = Pin<Box<dyn Future<Output = Result<Streaming<ContainerEventResponse>, Error>> + Send>>;

/// The stream of events; a server may answer the subscription with the first event only.
enum PodEvents {
    Opening(Subscription),
    Open(Box<Streaming<ContainerEventResponse>>),
}

/// A follower of the events of one server.
pub(crate) struct CriWatch {
    connection: CriConnection,
    events: PodEvents,
}

impl CriWatch {
    /// Connects to the server and asks for its events.
    ///
    /// # Errors
    /// If no server listens at the endpoint.
    pub(crate) async fn begin(endpoint: &CriEndpoint, calls: Calls) -> Result<CriWatch, Error> {
        let connection = CriConnection::open(endpoint, QUESTION).await?.counted_by(&calls);
        let listener = connection.clone();
        let opening = async move { listener.listen(GetEventsRequest {}).await };
        Ok(CriWatch { connection, events: PodEvents::Opening(Box::pin(opening)) })
    }

    /// Waits until a pod or a container changes. May be dropped at any time, but not used again after an
    /// error.
    ///
    /// # Errors
    /// If the server has ended the stream; [`Error::Unserved`] if it does not support events.
    pub(crate) async fn news(&mut self) -> Result<(), Error> {
        if let PodEvents::Opening(opening) = &mut self.events {
            self.events = PodEvents::Open(Box::new(opening.await?));
        }
        let PodEvents::Open(events) = &mut self.events else { return Err(self.connection.ended()) };
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
