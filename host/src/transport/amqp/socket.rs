//! The bytes below a connection: TCP, with TLS where it is asked for.

use std::io;
use std::net::TcpStream as TcpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::options::Config;
use super::tls::{self, TlsError};
use crate::transport::url::Host;

/// An open stream of bytes to a broker.
pub(super) struct Socket {
    stream: Box<dyn Bytes>,
    /// Nothing was read yet, and there is no TLS of ours.
    may_be_tls: bool,
    bare: Option<TcpSocket>,
}

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// Why there is no socket.
pub(super) enum SocketError {
    /// Nobody listens there, or there is no way to it.
    Unreachable(io::Error),
    /// Our own TLS files.
    Tls(TlsError),
    /// The handshake of TLS.
    Handshake(io::Error),
    /// Somebody listens there and says nothing.
    Silent,
}

/// What a port that speaks TLS answers to AMQP. No frame of AMQP begins with it.
const TLS_ALERT: u8 = 21;

/// The broker answered with TLS where none was asked for.
#[derive(Debug, thiserror::Error)]
#[error("it wants TLS on this port: set `ssl`")]
pub(super) struct WantsTls;

impl Socket {
    /// Connects. Each address of the host, and the handshake of TLS, may take `limit`.
    pub(super) async fn connect(
        host: &Host,
        options: &Config,
        limit: Duration,
    ) -> Result<Self, SocketError> {
        let tls = match options.ssl {
            true => Some(tls::client_config(options).map_err(SocketError::Tls)?),
            false => None,
        };
        let tcp = dial(host, limit).await.map_err(SocketError::Unreachable)?;
        let dead_after = Duration::from_secs(options.heartbeat_timeout_threshold.into());
        watch_over(&tcp, dead_after).map_err(SocketError::Unreachable)?;
        let bare = match tls {
            None => SockRef::from(&tcp).try_clone().map(Into::into).ok(),
            Some(_) => None,
        };
        let may_be_tls = tls.is_none();
        let stream: Box<dyn Bytes> = match tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from(host.name.clone())
                    .map_err(|error| SocketError::Handshake(io::Error::other(error)))?;
                let connector = TlsConnector::from(Arc::new(config));
                match timeout(limit, connector.connect(name, tcp)).await {
                    Ok(stream) => Box::new(stream.map_err(SocketError::Handshake)?),
                    Err(_) => return Err(SocketError::Silent),
                }
            }
        };
        Ok(Self {
            stream,
            may_be_tls,
            bare,
        })
    }

    /// The same socket once more, unless TLS is on it. It does not block.
    pub(super) fn bare(&mut self) -> Option<TcpSocket> {
        self.bare.take()
    }
}

/// The first of the host's addresses that answers: one that leads nowhere must not use up the time of
/// the others.
async fn dial(host: &Host, limit: Duration) -> io::Result<TcpStream> {
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host.dialled_name(), host.port)).await? {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last_error = error,
            Err(_) => last_error = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last_error)
}

/// Has the kernel notice a peer that is gone, as upstream does.
fn watch_over(tcp: &TcpStream, dead_after: Duration) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    socket.set_tcp_keepalive(&TcpKeepalive::new())?;
    if !dead_after.is_zero() {
        socket.set_tcp_user_timeout(Some(dead_after))?;
    }
    Ok(())
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(first) = buffer.filled().get(before)
            && std::mem::take(&mut self.may_be_tls)
            && *first == TLS_ALERT
        {
            return Poll::Ready(Err(io::Error::other(WantsTls)));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
