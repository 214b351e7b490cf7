//! A gRPC connection over a unix socket.

use super::messages::RawList;
use super::{CriEndpoint, Error};
use crate::client::{DialAddress, dial};
use crate::model::text::one_line;
use crate::runtimes::calls::{Call, Calls};
use crate::runtimes::denied;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::http::uri::PathAndQuery;
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::Streaming;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

/// The limit of one message in bytes, equal to kubelet's: the annotations of a node's pods can exceed
/// gRPC's default of 4 MiB.
pub(super) const LIMIT: usize = 16 << 20;

/// A request message, with its method and the type of its answer.
pub trait Question: prost::Message + 'static {
    /// The path of the method: `/PACKAGE.SERVICE/METHOD`.
    const METHOD: &'static str;
    /// The type of the answer's message.
    type Answer: prost::Message + Default + 'static;
}

/// A connection to a server. It does not reconnect by itself: after an error the caller opens a new one.
#[derive(Clone, Debug)]
pub struct CriConnection {
    endpoint: CriEndpoint,
    grpc: Grpc<Http2>,
    calls: Calls,
}

impl CriConnection {
    /// Connects. Nothing is asked yet, so the listener may be any program.
    ///
    /// # Errors
    /// If no process listens, or access to the socket is denied.
    pub async fn open(endpoint: &CriEndpoint, within: Duration) -> Result<CriConnection, Error> {
        let until = Instant::now() + within;
        let stream = match timeout_at(until, dial(DialAddress::Unix(endpoint.path()))).await {
            Ok(stream) => stream.map_err(|error| refused(endpoint, &error, within))?,
            Err(_) => return Err(too_slow(endpoint, within)),
        };
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = match timeout_at(until, handshake).await {
            Ok(connected) => connected.map_err(|error| broken(endpoint, &error))?,
            Err(_) => return Err(too_slow(endpoint, within)),
        };
        // The task ends when its last sender and the last answer's body are dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "a connection to a CRI server ended");
            }
        });
        let origin = Uri::from_static("http://localhost");
        let grpc = Grpc::with_origin(Http2(sender), origin).max_decoding_message_size(LIMIT);
        Ok(CriConnection { endpoint: endpoint.clone(), grpc, calls: Calls::default() })
    }

    /// Returns the connection with these figures of its calls.
    #[must_use]
    pub(crate) fn counted_by(self, calls: &Calls) -> CriConnection {
        CriConnection { calls: calls.clone(), ..self }
    }

    /// Counts a request for this method, by its bare name.
    fn count(&self, method: &'static str) {
        self.calls.count(bare_name(method));
    }

    /// Sends a request and waits for the whole answer.
    ///
    /// # Errors
    /// If the answer does not arrive `within` the time, or is malformed.
    pub async fn ask<Q: Question>(&self, question: Q, within: Duration) -> Result<Q::Answer, Error> {
        self.ask_for::<Q, Q::Answer>(question, within).await
    }

    /// Sends a request for a list. Returns the entries that can be read and have an id; the others are
    /// reported once.
    ///
    /// # Errors
    /// Fails as [`ask`](CriConnection::ask) does, and if no entry can be read.
    pub(super) async fn list<Q: Question, T: prost::Message + Default>(
        &self,
        question: Q,
        within: Duration,
        id: impl Fn(&T) -> &str,
    ) -> Result<Vec<T>, Error> {
        let raw = self.ask_for::<Q, RawList>(question, within).await?.entries;
        let (mut entries, mut damage) = (Vec::with_capacity(raw.len()), None);
        for bytes in &raw {
            match T::decode(&bytes[..]) {
                Ok(entry) if !id(&entry).is_empty() => entries.push(entry),
                Ok(_) => damage = damage.or(Some("an entry has no id".to_owned())),
                Err(error) => damage = damage.or(Some(error.to_string())),
            }
        }
        let call = bare_name(Q::METHOD);
        match damage {
            Some(reason) if entries.is_empty() => Err(failed(&self.endpoint, &reason)),
            damage => {
                if self.calls.note_damaged(call, damage.is_some())
                    && let Some(reason) = damage
                {
                    let left_out = raw.len() - entries.len();
                    tracing::warn!(
                        collector = "cri",
                        left_out,
                        "a part of the answer to {call} cannot be read, and is left out: {}",
                        one_line(&reason)
                    );
                }
                Ok(entries)
            }
        }
    }

    async fn ask_for<Q: Question, A: prost::Message + Default + 'static>(
        &self,
        question: Q,
        within: Duration,
    ) -> Result<A, Error> {
        self.count(Q::METHOD);
        let mut grpc = self.grpc.clone();
        let path = PathAndQuery::from_static(Q::METHOD);
        let asked = async {
            grpc.ready().await.map_err(|error| broken(&self.endpoint, &error))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc.unary(tonic::Request::new(question), path, codec).await;
            answer.map(tonic::Response::into_inner).map_err(|status| self.classify(&status))
        };
        match timeout_at(Instant::now() + within, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(too_slow(&self.endpoint, within)),
        }
    }

    /// Sends a request for a stream of answers. A server may send nothing at all, headers included, until
    /// it has the first answer.
    ///
    /// # Errors
    /// If the server offers no such stream.
    pub async fn listen<Q: Question>(&self, question: Q) -> Result<Streaming<Q::Answer>, Error> {
        self.count(Q::METHOD);
        let mut grpc = self.grpc.clone();
        let path = PathAndQuery::from_static(Q::METHOD);
        grpc.ready().await.map_err(|error| broken(&self.endpoint, &error))?;
        let codec = ProstCodec::<Q, Q::Answer>::default();
        let answer = grpc.server_streaming(tonic::Request::new(question), path, codec).await;
        answer.map(tonic::Response::into_inner).map_err(|status| self.classify(&status))
    }

    /// Returns the error for a stream that ended although it was expected to continue.
    pub(super) fn ended(&self) -> Error {
        failed(&self.endpoint, &"the stream of events ended")
    }

    pub(super) fn classify(&self, status: &Status) -> Error {
        let endpoint = &self.endpoint;
        match status.code() {
            Code::Unimplemented => Error::Unserved(format!("{endpoint} does not serve CRI's runtime.v1")),
            // The decoder gives this code to a message with an announced length above the limit.
            Code::OutOfRange => Error::Failed(format!("{endpoint} answered with more than {LIMIT} bytes")),
            Code::PermissionDenied | Code::Unauthenticated => {
                Error::Refused(one_line(&format!("{endpoint} refused: {}", status.message())))
            }
            code => {
                let cause = cause(status).map(|cause| format!(": {cause}")).unwrap_or_default();
                failed(endpoint, &format!("{code:?}: {}{cause}", status.message()))
            }
        }
    }
}

/// Returns the name of a method without its service.
fn bare_name(method: &'static str) -> Call {
    method.rsplit('/').next().unwrap_or(method)
}

fn refused(endpoint: &CriEndpoint, error: &io::Error, within: Duration) -> Error {
    match error.kind() {
        // A socket with a full queue gives this error: a process listens, but does not accept.
        io::ErrorKind::WouldBlock => too_slow(endpoint, within),
        io::ErrorKind::PermissionDenied => {
            Error::Denied(denied(Some(endpoint.path()), format!("permission denied at {endpoint}")))
        }
        _ => Error::NotThere(one_line(&format!("no CRI server listens at {endpoint}: {error}"))),
    }
}

fn broken(endpoint: &CriEndpoint, error: &hyper::Error) -> Error {
    let cause = cause(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    failed(endpoint, &format!("{error}{cause}"))
}

/// Returns the error for a server that refused the request, or has a malformed answer.
fn failed(endpoint: &CriEndpoint, reason: &dyn fmt::Display) -> Error {
    Error::Failed(one_line(&format!("asking {endpoint} failed: {reason}")))
}

/// Returns the error for a server that did not answer within this time.
pub(super) fn too_slow(endpoint: &CriEndpoint, within: Duration) -> Error {
    Error::TooSlow(format!("{endpoint} did not answer within {within:?}"))
}

/// Returns the last error in an error's chain of sources.
fn cause(error: &dyn StdError) -> Option<String> {
    let chain = std::iter::successors(error.source(), |&error| error.source());
    chain.last().map(ToString::to_string)
}

/// The HTTP/2 sender as the service that tonic requires.
#[derive(Clone, Debug)]
struct Http2(http2::SendRequest<Body>);

impl Service<Request<Body>> for Http2 {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
