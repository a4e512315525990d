//! The bytes below a connection: TCP, with TLS where it is asked for.
//!
//! lapin can make both itself, but not with upstream's checks of names, nor with a time limit that
//! closes what it gives up.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use async_rs::{Runtime, Tokio};
use futures_util::Stream;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::options::Config;
use super::tls::{self, TlsError};
use crate::transport::url::Host;

/// An open stream of bytes to a broker.
pub(super) struct Socket {
    stream: Compat<Box<dyn Bytes>>,
    /// Nothing was read yet, and there is no TLS of ours.
    may_be_tls: bool,
    without_heartbeats: Option<TuneWithoutHeartbeats>,
}

trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// Ends a socket that somebody else has: who reads or writes there gets an error. Dropping it does
/// the same.
pub(super) struct Closer(std::net::TcpStream);

impl Drop for Closer {
    fn drop(&mut self) {
        // It fails only where the connection is gone already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

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
    ) -> Result<(Self, Closer), SocketError> {
        let tls = match options.ssl {
            true => Some(tls::client_config(options).map_err(SocketError::Tls)?),
            false => None,
        };
        let tcp = dial(host, limit).await.map_err(SocketError::Unreachable)?;
        let dead_after = Duration::from_secs(options.heartbeat_timeout_threshold.into());
        let closer = watch_over(&tcp, dead_after).map_err(SocketError::Unreachable)?;
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
        let socket = Self {
            stream: stream.compat(),
            may_be_tls,
            without_heartbeats: (options.heartbeat_timeout_threshold == 0)
                .then(TuneWithoutHeartbeats::default),
        };
        Ok((socket, closer))
    }
}

impl Socket {
    /// Why writing failed: what the peer said before it closed, if that is still there to be read, or `error`. A
    /// broker refuses a client's certificate in this way, when AMQP may have begun already.
    fn poll_last_word(&mut self, context: &mut Context<'_>, error: io::Error) -> Poll<io::Error> {
        use futures_io::AsyncRead as _;
        let read = Pin::new(self).poll_read(context, &mut [0]);
        read.map(|read| read.err().unwrap_or(error))
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
fn watch_over(tcp: &TcpStream, dead_after: Duration) -> io::Result<Closer> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    socket.set_tcp_keepalive(&TcpKeepalive::new())?;
    if !dead_after.is_zero() {
        socket.set_tcp_user_timeout(Some(dead_after))?;
    }
    Ok(Closer(socket.try_clone()?.into()))
}

impl futures_io::AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(read, Poll::Ready(Ok(1..)))
            && std::mem::take(&mut self.may_be_tls)
            && buffer[0] == TLS_ALERT
        {
            return Poll::Ready(Err(io::Error::other(WantsTls)));
        }
        if let (Poll::Ready(Ok(count)), Some(tune)) = (&read, &mut self.without_heartbeats)
            && tune.change(&mut buffer[..*count])
        {
            self.without_heartbeats = None;
        }
        read
    }
}

impl futures_io::AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stream).poll_write(context, bytes)) {
            Ok(count) => Poll::Ready(Ok(count)),
            Err(error) => self.poll_last_word(context, error).map(Err),
        }
    }

    /// With TLS, it may be here that what was taken before is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_flush(context)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => self.poll_last_word(context, error).map(Err),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

/// Sets the heartbeat that the broker proposes in `connection.tune` to 0. lapin answers with the
/// broker's own where we ask for none, which would switch them on.
#[derive(Default)]
struct TuneWithoutHeartbeats {
    /// Everything that was read: the few frames up to and with the tune.
    seen: Vec<u8>,
}

impl TuneWithoutHeartbeats {
    /// A frame's type, channel and size.
    const HEADER: usize = 7;
    /// Class and method `connection.tune`.
    const TUNE: [u8; 4] = [0, 10, 0, 30];
    /// Where the heartbeat stands in the frame, after class, method, channel-max and frame-max.
    const HEARTBEAT: usize = Self::HEADER + 10;

    /// Looks through what was just read; true once there is nothing left to do.
    fn change(&mut self, read: &mut [u8]) -> bool {
        let before = self.seen.len();
        self.seen.extend_from_slice(read);
        let mut frame = 0;
        while let Some(header) = self.seen.get(frame..frame + Self::HEADER) {
            let size = u32::from_be_bytes([header[3], header[4], header[5], header[6]]);
            let Some(method) = self
                .seen
                .get(frame + Self::HEADER..frame + Self::HEADER + 4)
            else {
                return false;
            };
            if method == Self::TUNE {
                let heartbeat = frame + Self::HEARTBEAT;
                for place in [heartbeat, heartbeat + 1] {
                    if let Some(byte) = place.checked_sub(before).and_then(|at| read.get_mut(at)) {
                        *byte = 0;
                    }
                }
                return self.seen.len() > heartbeat + 1;
            }
            // With the octet that ends it.
            frame += Self::HEADER + size as usize + 1;
        }
        false
    }
}

/// Tokio's runtime, for a connection whose stream is a `Socket`.
pub(super) type SocketRuntime = Runtime<RuntimeParts<Tokio, SocketReactor>>;

/// lapin's tasks run where `io` does.
pub(super) fn runtime(io: &Handle) -> SocketRuntime {
    let tokio = Tokio::default().with_handle(io.clone());
    Runtime::new(RuntimeParts::new(tokio.clone(), SocketReactor(tokio)))
}

/// Tokio's timers, and streams that are made elsewhere.
#[derive(Clone, Debug)]
pub(super) struct SocketReactor(Tokio);

impl Reactor for SocketReactor {
    type TcpStream = Socket;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl futures_io::AsyncRead + futures_io::AsyncWrite + Send + Unpin + 'static>
    {
        Err::<Socket, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, period: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(period)
    }

    fn tcp_connect_addr(
        &self,
        _: SocketAddr,
    ) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A method frame on channel 0.
    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![1, 0, 0];
        frame.extend(u32::try_from(payload.len()).expect("short").to_be_bytes());
        frame.extend(payload);
        frame.push(0xce);
        frame
    }

    #[test]
    fn only_the_heartbeat_of_the_tune_changes_however_it_is_cut() {
        let start = frame(&[0, 10, 0, 10, 0, 9, 1, 2, 3, 0, 10, 0, 30]);
        let tune = frame(&[0, 10, 0, 30, 7, 255, 0, 2, 0, 0, 0, 60]);
        let sent = [start, tune, frame(&[0, 10, 0, 41])].concat();
        let mut expected = sent.clone();
        // Before its frame's end and the last frame.
        expected[sent.len() - 14] = 0;
        for step in 1..=sent.len() {
            let mut tune = TuneWithoutHeartbeats::default();
            let mut done = false;
            let mut received = sent.clone();
            for part in received.chunks_mut(step) {
                if !done {
                    done = tune.change(part);
                }
            }
            assert!(done);
            assert_eq!(received, expected, "in steps of {step}");
        }
    }
}
