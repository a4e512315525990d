//! One connection to a RabbitMQ cluster: dialled when it is needed, and again when it was lost.
//!
//! Whoever needs a channel waits here until there is one. Only a refusal at the first dial is an
//! error; later the broker may be in the middle of its own start, so it is tried again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, ConnectionProperties, ErrorKind};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::options::Config;
use crate::transport::TransportError;
use crate::transport::url::{Host, RabbitUrl};

/// How long one host may take from the first packet to an open connection.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often, while it pauses, it looks whether a host that was down accepts connections again.
const KNOCK_INTERVAL: Duration = Duration::from_secs(1);
/// How long an orderly close may take before the connection is just dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Connection {
    /// "listening" or "sending", for the log and the broker's list of connections.
    purpose: &'static str,
    url: RabbitUrl,
    config: Config,
    io: Handle,
    live: Mutex<Option<lapin::Connection>>,
    was_open: AtomicBool,
    is_open: AtomicBool,
}

/// Why one attempt at one host failed.
enum DialError {
    /// The broker answered, and the answer is no.
    Refused(String),
    /// Nobody answered.
    Unreachable(String),
    /// Somebody answered, and then something went wrong.
    Failed(String),
}

impl Connection {
    pub(super) fn new(
        purpose: &'static str,
        url: &RabbitUrl,
        config: &Config,
        io: &Handle,
    ) -> Self {
        Self {
            purpose,
            url: url.clone(),
            config: config.clone(),
            io: io.clone(),
            live: Mutex::default(),
            was_open: AtomicBool::new(false),
            is_open: AtomicBool::new(false),
        }
    }

    /// A new channel, as soon as the broker can be reached.
    pub(super) async fn channel(&self) -> Result<Channel, TransportError> {
        let mut live = self.live.lock().await;
        loop {
            let connection = match live.take() {
                Some(connection) if connection.status().connected() => connection,
                _ => self.dial_until_open().await?,
            };
            match connection.create_channel().await {
                Ok(channel) => {
                    *live = Some(connection);
                    self.is_open.store(true, Ordering::Relaxed);
                    return Ok(channel);
                }
                Err(error) if connection.status().connected() => {
                    *live = Some(connection);
                    return Err(TransportError::Disconnected(error.into()));
                }
                // Lost between the check and the channel: dial again.
                Err(_) => {}
            }
        }
    }

    /// Whether the last that was seen of it was open.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Somebody saw a channel break.
    pub(super) fn seems_lost(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }

    pub(super) async fn close(&self) {
        let Some(connection) = self.live.lock().await.take() else {
            return;
        };
        if connection.status().connected() {
            // Whether it succeeds or not, there is nothing left that depends on it.
            let _ = timeout(CLOSE_TIMEOUT, connection.close(200, "OK".into())).await;
        }
    }

    /// Goes through the hosts in turn, and pauses after each whole round that failed.
    async fn dial_until_open(&self) -> Result<lapin::Connection, TransportError> {
        let mut pause = Duration::from_secs(self.config.rabbit_retry_interval);
        loop {
            let mut all_unreachable = true;
            let mut last_error = String::new();
            for host in &self.url.hosts {
                match self.dial(host).await {
                    Ok(connection) => {
                        self.was_open.store(true, Ordering::Relaxed);
                        let address = host.address();
                        let purpose = self.purpose;
                        info!(parent: None, "Connected to RabbitMQ at {address} ({purpose})");
                        return Ok(connection);
                    }
                    Err(DialError::Refused(reason)) if !self.was_open.load(Ordering::Relaxed) => {
                        return Err(TransportError::Refused(reason));
                    }
                    Err(DialError::Unreachable(reason)) => last_error = reason,
                    Err(DialError::Refused(reason) | DialError::Failed(reason)) => {
                        all_unreachable = false;
                        last_error = reason;
                    }
                }
            }
            // Whoever happened to need it is not what this is about.
            warn!(
                parent: None,
                "{last_error}; trying again in {} s ({} connection)",
                pause.as_secs(),
                self.purpose
            );
            let longest = Duration::from_secs(self.config.rabbit_interval_max);
            let growth = Duration::from_secs(self.config.rabbit_retry_backoff);
            pause = match self.pause(pause, all_unreachable).await {
                // Its broker is starting: the next pauses are short again.
                true => Duration::from_secs(self.config.rabbit_retry_interval),
                false => (pause + growth).min(longest),
            };
        }
    }

    /// Waits for `pause`. While no host even listens, a look at the port costs nobody anything,
    /// so the pause ends as soon as one does; then this is true.
    async fn pause(&self, pause: Duration, knock: bool) -> bool {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            sleep(KNOCK_INTERVAL.min(end - Instant::now())).await;
            if knock && Instant::now() < end {
                for host in &self.url.hosts {
                    let knocking = TcpStream::connect((host.name.as_str(), host.port));
                    if let Ok(Ok(_)) = timeout(KNOCK_INTERVAL, knocking).await {
                        return true;
                    }
                }
            }
        }
        false
    }

    async fn dial(&self, host: &Host) -> Result<lapin::Connection, DialError> {
        let address = host.address();
        let unreachable =
            |why: String| DialError::Unreachable(format!("RabbitMQ at {address}: {why}"));
        // Told apart from the handshake, since a refused connection and a refused login want
        // different things done.
        match timeout(
            DIAL_TIMEOUT,
            TcpStream::connect((host.name.as_str(), host.port)),
        )
        .await
        {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(unreachable(format!("cannot connect: {error}"))),
            Err(_) => return Err(unreachable("no answer to the connection".to_owned())),
        }
        let properties = ConnectionProperties::default().with_connection_name(
            format!("endpointd:{}:{}", std::process::id(), self.purpose).into(),
        );
        let runtime = {
            // lapin runs heartbeats where it is told to: never among the guests.
            let _io = self.io.enter();
            lapin::runtime::default_runtime()
        };
        let dialling = async {
            let runtime = runtime?;
            let uri = self.uri(host);
            lapin::Connection::connect_uri_with_runtime(uri, properties, runtime).await
        };
        match timeout(DIAL_TIMEOUT, dialling).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(self.explain(host, &error)),
            Err(_) => Err(DialError::Failed(format!(
                "RabbitMQ at {address} accepts connections but does not answer"
            ))),
        }
    }

    fn uri(&self, host: &Host) -> AMQPUri {
        AMQPUri {
            scheme: AMQPScheme::AMQP,
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo {
                    username: host.user.clone(),
                    password: host.password.clone(),
                },
                host: host.name.clone(),
                port: host.port,
            },
            vhost: self.url.virtual_host.clone(),
            query: AMQPQueryString {
                heartbeat: Some(self.config.heartbeat_timeout_threshold),
                ..AMQPQueryString::default()
            },
        }
    }

    fn explain(&self, host: &Host, error: &lapin::Error) -> DialError {
        let (address, user) = (host.address(), &host.user);
        let virtual_host = &self.url.virtual_host;
        let ErrorKind::ProtocolError(protocol) = error.kind() else {
            return DialError::Failed(format!("RabbitMQ at {address}: {error}"));
        };
        match protocol.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => DialError::Refused(format!(
                "RabbitMQ at {address} refused the login of user `{user}`: check user and \
                 password in `transport_url`"
            )),
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => DialError::Refused(format!(
                "RabbitMQ at {address} refused user `{user}` the virtual host `{virtual_host}`: \
                 it does not exist, or the user has no permission for it"
            )),
            _ => DialError::Failed(format!("RabbitMQ at {address}: {error}")),
        }
    }
}
