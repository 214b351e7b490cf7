//! The HTTP server: TLS, HTTP/1.1 and HTTP/2, within limits of time and size.

pub(crate) mod body;
pub(crate) mod connections;
pub(crate) mod encoding;
mod listen;
pub(crate) mod permits;
mod wire;

use body::Body;
use connections::{Connection, Connections, OngoingAnswer, OpenConnection, SWEEP_INTERVAL};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use listen::Socket;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wire::{Rewound, TrackedBody, TrackedStream};

pub use encoding::Encoding;
pub use listen::{ListenAddress, Listener};

/// The time for requests under way when the server stops.
const GRACE: Duration = Duration::from_secs(3);

/// The pause of a listener that has no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bytes of a request's head at most; a longer one is answered with 431.
const HEAD_SIZE: usize = 16 * 1024;

/// The bytes that HTTP/1.1 buffers for each connection, in either direction.
const BUFFER: usize = 64 * 1024;

/// The requests at a time on one HTTP/2 connection.
const HTTP2_STREAMS: u32 = 16;

/// The bytes that an HTTP/2 client may send unasked: requests have no body here.
const HTTP2_WINDOW: u32 = 16 * 1024;

/// The answer to a client that does not speak TLS, as Go's server gives it.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// A source of answers, which the server calls for each request.
pub(crate) trait Service: Send + Sync + 'static {
    /// Returns the TLS configuration for a new connection; `None` for plain HTTP.
    fn tls(&self) -> Option<Arc<ServerConfig>>;

    /// Answers a request that came over this connection.
    fn answer(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Ends all bodies that have no end of their own.
    fn end_streams(&self) -> impl Future<Output = ()> + Send;
}

/// Serves on all listeners until `shutdown`, then lets the requests under way end.
///
/// # Errors
/// Fails if a listener cannot be used.
pub(crate) async fn serve<S: Service>(
    service: S,
    connections: Connections,
    listeners: Vec<Listener>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let graceful = Arc::new(GracefulShutdown::new());
    let service = Arc::new(service);
    let server = Server {
        connections: connections.clone(),
        service: Arc::clone(&service),
        graceful: Arc::clone(&graceful),
    };
    let mut accepting = tokio::task::JoinSet::new();
    // The files of unix sockets are removed when no listener accepts any more.
    let mut names = Vec::new();
    for listener in listeners {
        let server = server.clone();
        match &listener.socket {
            Socket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                let socket = TcpListener::from_std(socket.try_clone()?)?;
                accepting.spawn(server.accept_tcp(socket));
            }
            Socket::Unix(socket) => {
                socket.set_nonblocking(true)?;
                let socket = UnixListener::from_std(socket.try_clone()?)?;
                accepting.spawn(server.accept_unix(socket));
            }
        }
        names.push(listener);
    }
    drop(server);
    let watching = connections.clone();
    accepting.spawn(async move {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            watching.close_overdue(Instant::now());
        }
    });
    shutdown.await;
    accepting.shutdown().await;
    drop(names);
    connections.close_idle();
    service.end_streams().await;
    if let Some(graceful) = Arc::into_inner(graceful)
        && tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err()
    {
        tracing::warn!("some clients did not take their answer in time");
    }
    Ok(())
}

struct Server<S> {
    service: Arc<S>,
    connections: Connections,
    graceful: Arc<GracefulShutdown>,
}

impl<S> Clone for Server<S> {
    fn clone(&self) -> Server<S> {
        Server {
            service: Arc::clone(&self.service),
            connections: self.connections.clone(),
            graceful: Arc::clone(&self.graceful),
        }
    }
}

impl<S: Service> Server<S> {
    async fn accept_tcp(self, listener: TcpListener) {
        let mut accepting = Accepting::default();
        loop {
            match accepting.report(listener.accept().await) {
                Ok((stream, _)) => {
                    // The last piece of an answer does not wait for the acknowledgement of the piece before.
                    let _ = stream.set_nodelay(true);
                    self.open(stream).await;
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn accept_unix(self, listener: UnixListener) {
        let mut accepting = Accepting::default();
        loop {
            match accepting.report(listener.accept().await) {
                Ok((stream, _)) => self.open(stream).await,
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn open<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(&self, stream: T) {
        let open = self.connections.admit().await;
        let connection = Arc::clone(&open.connection);
        let task = tokio::spawn(run(stream, open, Arc::clone(&self.service), self.graceful.watcher()));
        connection.runs_in(task.abort_handle());
    }
}

/// The state of a listener's accept: one line in the log for each change.
#[derive(Default)]
struct Accepting {
    fails: bool,
}

impl Accepting {
    fn report<T>(&mut self, accepted: io::Result<T>) -> io::Result<T> {
        match &accepted {
            // That client has left; the next one may come.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if !self.fails => {
                self.fails = true;
                tracing::warn!(%error, "cannot accept connections");
            }
            Ok(_) if self.fails => {
                self.fails = false;
                tracing::info!("accepts connections again");
            }
            _ => {}
        }
        accepted
    }
}

/// Serves one connection from its handshake to its end.
async fn run<T>(stream: T, open: OpenConnection, service: Arc<impl Service>, watcher: Watcher)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = &open.connection;
    let Some(tls) = service.tls() else {
        return http1(stream, connection, service, watcher).await;
    };
    let stream = match handshake(tls, stream).await {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "TLS handshake failed"),
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if http2 {
        self::http2(stream, connection, service, watcher).await;
    } else {
        http1(stream, connection, service, watcher).await;
    }
}

async fn handshake<S>(tls: Arc<ServerConfig>, stream: S) -> io::Result<TlsStream<Rewound<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = Rewound::new(stream).await?;
    // A handshake begins with 22, and a method with a letter.
    if stream.first().is_some_and(|first| first.is_ascii_uppercase()) {
        stream.write_all(NOT_TLS).await?;
        stream.shutdown().await?;
        return Err(io::Error::other("the client speaks plain HTTP"));
    }
    TlsAcceptor::from(tls).accept(stream).await
}

async fn http1<T>(stream: T, connection: &Arc<Connection>, service: Arc<impl Service>, watcher: Watcher)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = TrackedStream::http1(stream, Arc::clone(connection));
    let answering = service_fn(|request| answer(&*service, connection, request, TrackedBody::http1));
    let served = hyper::server::conn::http1::Builder::new()
        // Its timer would also run between two requests; the table of connections has its own.
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .max_header_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), answering);
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn http2<T>(stream: T, connection: &Arc<Connection>, service: Arc<impl Service>, watcher: Watcher)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = Arc::clone(connection);
    let stream = TrackedStream::http2(stream, Arc::clone(&connection));
    let answering = service_fn(move |request| {
        let (service, connection) = (Arc::clone(&service), Arc::clone(&connection));
        async move {
            let head = request.method() == Method::HEAD;
            let response = answer(&*service, &connection, request, TrackedBody::http2).await?;
            Ok::<_, Infallible>(if head { without_body(response) } else { response })
        }
    });
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HEAD_SIZE as u32)
        .initial_stream_window_size(HTTP2_WINDOW)
        .initial_connection_window_size(HTTP2_WINDOW * 4)
        .max_send_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), answering);
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "connection ended");
    }
}

/// Takes the body out of an answer to HEAD: hyper does so in HTTP/1.1 alone.
fn without_body(mut response: Response<TrackedBody>) -> Response<TrackedBody> {
    // 304 has no body, and its length would be taken for that of the answer it stands for (RFC 9110, 8.6).
    if response.status() != StatusCode::NOT_MODIFIED {
        let length = response.body().size_hint().exact().map(HeaderValue::from);
        response.headers_mut().extend(length.map(|length| (CONTENT_LENGTH, length)));
    }
    response.body_mut().leave_out();
    response
}

async fn answer(
    service: &impl Service,
    connection: &Arc<Connection>,
    request: Request<Incoming>,
    send: fn(Body, OngoingAnswer) -> TrackedBody,
) -> Result<Response<TrackedBody>, Infallible> {
    let mut answer = connection.begin_answer(Instant::now());
    let response = service.answer(request, connection).await;
    if response.body().is_stream() {
        answer.becomes_stream();
    }
    Ok(response.map(|body| send(body, answer)))
}
