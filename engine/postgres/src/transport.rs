//! The socket: TCP or Unix, plain or TLS, kept alive. Knows the first bytes of the protocol only.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pgkedge_model::{Failure, FailureClass, Server};
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::libpq::{Address, Host, TlsWish, WishedMode};
use crate::sqlstate::io_failure;
use crate::tls;

/// A peer that is gone is noticed after about a minute.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 3;
const USER_TIMEOUT: Duration = Duration::from_mins(1);

/// A connection to a server, before or after the login.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What it takes to reach the same server again, for cancel requests.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) server: Server,
    address: Address,
    /// As the user wrote it: what a certificate must name.
    name: String,
    tls: TlsWish,
    connect_timeout: Duration,
}

impl Way {
    pub(crate) fn new(server: Server, host: &Host, connect_timeout: Duration) -> Self {
        let (address, name, tls) = (host.address.clone(), host.name.clone(), host.tls.clone());
        Self { server, address, name, tls, connect_timeout }
    }

    /// The place as people know it: `host:port`.
    pub(crate) fn place(&self) -> String {
        match &self.address {
            Address::Tcp { host, port } if *host != self.name => {
                format!("{} ({host}):{port}", self.name)
            }
            address @ (Address::Socket { .. } | Address::Tcp { .. }) => address.to_string(),
        }
    }

    /// Opens the socket and, where it is wished for, encrypts it.
    pub(crate) async fn open(&self) -> Result<Stream, Failure> {
        let doing = format!("connect to {}", self.place());
        let opened = timeout(self.connect_timeout, self.open_unhurried(&doing)).await;
        opened.unwrap_or_else(|_| {
            let seconds = self.connect_timeout.as_secs();
            let fact = format!("{}: cannot {doing}: no answer within {seconds} s", self.server);
            Err(Failure::transient(fact))
        })
    }

    async fn open_unhurried(&self, doing: &str) -> Result<Stream, Failure> {
        let failed = |error: io::Error| io_failure(self.server, &error, doing);
        match &self.address {
            Address::Socket { folder, port } => {
                let stream = open_unix(folder, *port).await.map_err(failed)?;
                Ok(Stream::Unix(stream))
            }
            Address::Tcp { host, port } => {
                let mut stream = open_tcp(host, *port).await.map_err(failed)?;
                if self.wants_tls(&mut stream).await? {
                    self.encrypt(stream, doing).await
                } else {
                    Ok(Stream::Tcp(stream))
                }
            }
        }
    }

    /// Asks the server for TLS. Reads one byte and no more, so that nothing that came in plain
    /// text is taken for encrypted (CVE-2021-23222).
    async fn wants_tls(&self, stream: &mut TcpStream) -> Result<bool, Failure> {
        if self.tls.mode == WishedMode::Disable {
            return Ok(false);
        }
        let failed = |error: io::Error| io_failure(self.server, &error, "ask for TLS");
        let mut request = bytes::BytesMut::new();
        postgres_protocol::message::frontend::ssl_request(&mut request);
        stream.write_all(&request).await.map_err(failed)?;
        match (stream.read_u8().await.map_err(failed)?, self.tls.mode) {
            (b'S', _) => Ok(true),
            (b'N', WishedMode::Prefer) => Ok(false),
            (b'N', _) => Err(self.refused("the server does not offer TLS").help(
                "turn ssl on at the server; or, if the network can be trusted, \
                 write `tls: { mode: disable }` below the database in the plan",
            )),
            _ => Err(Failure::transient(format!(
                "{}: {} answered the request for TLS with an error",
                self.server,
                self.place()
            ))),
        }
    }

    async fn encrypt(&self, stream: TcpStream, doing: &str) -> Result<Stream, Failure> {
        let config = tls::client_config(&self.tls).map_err(|error| self.refused(error))?;
        let name = ServerName::try_from(self.name.clone())
            .map_err(|_| self.refused(format!("`{}` is no host name for TLS", self.name)))?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        let stream = stream.map_err(|error| self.handshake_failure(&error, doing))?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    fn handshake_failure(&self, error: &io::Error, doing: &str) -> Failure {
        let is_certificate = error
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<rustls::Error>())
            .is_some_and(|cause| matches!(cause, rustls::Error::InvalidCertificate(_)));
        if is_certificate {
            return self.refused(error).help(
                "name the authority's certificate with `tls: { mode: verify-full, root: FILE }` \
                 below the database in the plan, and the host as the certificate names it",
            );
        }
        if error.kind() == io::ErrorKind::InvalidData {
            return self.refused(error);
        }
        io_failure(self.server, error, doing)
    }

    fn refused(&self, fact: impl std::fmt::Display) -> Failure {
        let message = format!("{}: cannot connect to {}: {fact}", self.server, self.place());
        Failure::new(FailureClass::Operator, message)
    }
}

async fn open_unix(folder: &Path, port: u16) -> io::Result<UnixStream> {
    UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await
}

/// Tries every address of the name; the last error is the one to report.
async fn open_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in lookup_host((host, port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                keep_alive(&stream)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_COUNT);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

impl Stream {
    /// The value that binds a login to this channel; none without TLS.
    pub(crate) fn channel_binding(&self) -> Option<Vec<u8>> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Tls(stream) => {
                let certificates = stream.get_ref().1.peer_certificates()?;
                tls::server_end_point(certificates.first()?)
            }
        }
    }

    /// Says goodbye if that does not wait. Over TLS it would: the server then sees the end only.
    pub(crate) fn terminate(&mut self) {
        const TERMINATE: &[u8] = b"X\0\0\0\x04";
        let sent = match self {
            Self::Tcp(stream) => stream.try_write(TERMINATE),
            Self::Unix(stream) => stream.try_write(TERMINATE),
            Self::Tls(_) => return,
        };
        if let Err(error) = sent {
            tracing::trace!(%error, "a connection was closed without a goodbye");
        }
    }
}

macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Unix($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Stream::Tls($stream) => {
                let $stream = Pin::new($stream.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, stream => stream.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_shutdown(cx))
    }
}

impl tokio_postgres::tls::TlsStream for Stream {
    fn channel_binding(&self) -> tokio_postgres::tls::ChannelBinding {
        use tokio_postgres::tls::ChannelBinding;
        self.channel_binding()
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// Cancel requests borrow their stream, to wait for its end.
impl tokio_postgres::tls::TlsStream for &mut Stream {
    fn channel_binding(&self) -> tokio_postgres::tls::ChannelBinding {
        tokio_postgres::tls::ChannelBinding::none()
    }
}

/// Hands tokio-postgres a stream that is encrypted already, where it should be: one code path
/// opens sockets, for it and for the wire.
pub(crate) struct AlreadyOpen;

impl<S: tokio_postgres::tls::TlsStream + Unpin> tokio_postgres::tls::TlsConnect<S> for AlreadyOpen {
    type Stream = S;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<S>>;

    fn connect(self, stream: S) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}
