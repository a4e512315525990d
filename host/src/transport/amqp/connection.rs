//! One connection to a RabbitMQ cluster: dialled when it is needed, and again when it was lost.
//!
//! Whoever needs a channel waits here until there is one. Only a refusal at the first dial is an
//! error; later the broker may be in the middle of its own start, so it is tried again.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amq_protocol::auth::SASLMechanism;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch as latest};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use super::options::{Config, FailoverStrategy, LoginMethod};
use super::socket::{Socket, SocketError, WantsTls};
use super::tls;
use super::wire::{self, Channel, Driver, Login, code};
use crate::transport::TransportError;
use crate::transport::url::{Host, RabbitUrl};

/// How long a host may take for each step of a dial: each of its addresses, the handshake of TLS,
/// and that of AMQP.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often, while it pauses, it looks whether a host that was down accepts connections again.
const KNOCK_INTERVAL: Duration = Duration::from_secs(1);
/// How long an orderly close may take before the connection is just dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the reason of a loss may take to be known.
const REASON_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Connection {
    /// "listening" or "sending", for the log and the broker's list of connections.
    purpose: &'static str,
    virtual_host: String,
    config: Config,
    io: Handle,
    state: Mutex<State>,
    is_open: Arc<AtomicBool>,
    rounds: latest::Sender<Rounds>,
    /// Whether this or another connection was let in before.
    was_open: Arc<AtomicBool>,
    /// Cancelled when this side closes it, for good.
    closed: CancellationToken,
}

/// What a wait for a channel that is given up leaves to the next.
struct State {
    live: Option<Live>,
    /// In the order in which they are tried next.
    hosts: Vec<Host>,
    /// When the connection that was lost is to be dialled again.
    dial_at: Option<Instant>,
    /// The next pause after a round that failed, if it is not the first.
    pause: Option<Duration>,
}

/// How dialling went lately, for those who do not wait for ever.
#[derive(Default)]
struct Rounds {
    /// How many went through all hosts in vain.
    failed: u64,
    /// Whether the last of them was one, and somebody waits for the next.
    pausing: bool,
    /// Why the last of them failed, while there is no connection.
    reason: Option<String>,
}

/// Ends the state of pausing, also where the wait is given up.
struct Pausing<'a>(&'a latest::Sender<Rounds>);

impl Drop for Pausing<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|rounds| rounds.pausing = false);
    }
}

/// A connection that was opened, and may be lost by now.
struct Live {
    connection: wire::Connection,
    /// Runs it, and tells when it was lost.
    driver: AbortOnDropHandle<Instant>,
}

/// Why one attempt at one host failed.
enum DialError {
    /// The broker answered, and the answer is no; or our own files are no good.
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
        was_open: &Arc<AtomicBool>,
    ) -> Self {
        let mut hosts = url.hosts.clone();
        fastrand::shuffle(&mut hosts);
        let state = State {
            live: None,
            hosts,
            dial_at: None,
            pause: None,
        };
        Self {
            purpose,
            virtual_host: url.virtual_host.clone(),
            config: config.clone(),
            io: io.clone(),
            state: Mutex::new(state),
            is_open: Arc::default(),
            rounds: latest::Sender::default(),
            was_open: Arc::clone(was_open),
            closed: CancellationToken::new(),
        }
    }

    /// A new channel, as soon as the broker can be reached.
    pub(super) async fn channel(&self) -> Result<Channel, TransportError> {
        let opening = self.closed.run_until_cancelled(self.open_channel());
        opening.await.unwrap_or(Err(TransportError::Closed))
    }

    async fn open_channel(&self) -> Result<Channel, TransportError> {
        let mut state = self.state.lock().await;
        loop {
            match &state.live {
                Some(live) if live.connection.is_open() => {}
                _ => {
                    if let Some(lost) = &mut state.live {
                        // It says why; whoever uses the connection may be told a moment before.
                        let lost_at = match timeout(REASON_TIMEOUT, &mut lost.driver).await {
                            Ok(Ok(lost_at)) => lost_at,
                            _ => Instant::now(),
                        };
                        self.is_open.store(false, Ordering::Relaxed);
                        state.live = None;
                        state.dial_at = Some(lost_at + self.reconnect_delay());
                    }
                    if let Some(dial_at) = state.dial_at {
                        sleep_until(dial_at).await;
                    }
                    self.dial_until_open(&mut state).await?;
                }
            }
            let Some(live) = &state.live else { continue };
            match live.connection.channel().await {
                Ok(channel) => return Ok(channel),
                Err(error) if live.connection.is_open() => {
                    return Err(TransportError::Disconnected(error.into()));
                }
                // Lost between the check and the channel: dial again.
                Err(error) => debug!("No channel: {error}"),
            }
        }
    }

    /// Does what needs the connection, until the first dial and `retries` more were in vain.
    pub(super) async fn while_dialled<T>(
        &self,
        retries: Option<u32>,
        work: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TransportError> {
        let Some(retries) = retries else {
            return work.await;
        };
        let mut rounds = self.rounds.subscribe();
        let enough = {
            let now = rounds.borrow();
            // Who comes into a pause knows already how the first one went.
            now.failed + u64::from(retries) + u64::from(!now.pausing)
        };
        // What is seen here is locked, and whoever gives up dialling writes to it: it must be let go
        // of before `work` is dropped.
        let given_up = async {
            let seen = rounds.wait_for(|rounds| rounds.failed >= enough).await;
            seen.ok().and_then(|rounds| rounds.reason.clone())
        };
        tokio::select! {
            biased;
            done = work => done,
            reason = given_up => Err(TransportError::Unreachable(reason.unwrap_or_default())),
        }
    }

    /// Why there is no connection, if dialling was in vain.
    pub(super) fn why_not_open(&self) -> Option<String> {
        self.rounds.borrow().reason.clone()
    }

    /// Whether the last that was seen of it was open.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Closes it for good; whoever waits for a channel is told so.
    pub(super) async fn close(&self) {
        self.closed.cancel();
        let mut state = self.state.lock().await;
        self.let_go(&mut state).await;
    }

    async fn let_go(&self, state: &mut State) {
        let Some(live) = state.live.take() else {
            return;
        };
        self.is_open.store(false, Ordering::Relaxed);
        if live.connection.is_open() {
            live.connection.close();
            // Whether it succeeds or not, there is nothing left that depends on it.
            let _ = timeout(CLOSE_TIMEOUT, live.driver).await;
        }
    }

    /// What upstream waits before it dials a connection again that it lost.
    fn reconnect_delay(&self) -> Duration {
        let splay = self.config.kombu_reconnect_splay * fastrand::f64();
        Duration::try_from_secs_f64(self.config.kombu_reconnect_delay + splay).unwrap_or_default()
    }

    /// Goes through the hosts in turn, and pauses after each whole round that failed.
    async fn dial_until_open(&self, state: &mut State) -> Result<(), TransportError> {
        let first_pause = Duration::from_secs(self.config.rabbit_retry_interval.into());
        let longest = Duration::from_secs(self.config.rabbit_interval_max.into());
        let growth = Duration::from_secs(self.config.rabbit_retry_backoff.into());
        loop {
            if self.config.kombu_failover_strategy == FailoverStrategy::Shuffle {
                fastrand::shuffle(&mut state.hosts);
            }
            let mut all_unreachable = true;
            let mut last_error = String::new();
            for _ in 0..state.hosts.len() {
                let host = state.hosts[0].clone();
                // Whatever comes of it, the next attempt is another host's.
                state.hosts.rotate_left(1);
                match self.dial(&host).await {
                    Ok(live) => {
                        state.live = Some(live);
                        state.dial_at = None;
                        state.pause = None;
                        self.rounds.send_modify(|rounds| rounds.reason = None);
                        self.was_open.store(true, Ordering::Relaxed);
                        return Ok(());
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
            let pause = state.pause.unwrap_or(first_pause).min(longest);
            state.pause = Some(pause + growth);
            // Whoever happened to need it is not what this is about.
            warn!(
                parent: None,
                "{last_error}; trying again in {} s ({} connection)",
                pause.as_secs(),
                self.purpose
            );
            self.rounds.send_modify(|rounds| {
                rounds.failed += 1;
                rounds.pausing = true;
                rounds.reason = Some(last_error);
            });
            let _pausing = Pausing(&self.rounds);
            if self.pause(&state.hosts, pause, all_unreachable).await {
                // Its broker is starting: the next pauses are short again.
                state.pause = None;
            }
        }
    }

    /// Waits for `pause`. While no host even listens, a look at the port costs nobody anything,
    /// so the pause ends as soon as one does; then this is true.
    async fn pause(&self, hosts: &[Host], pause: Duration, knock: bool) -> bool {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            sleep(KNOCK_INTERVAL.min(end - Instant::now())).await;
            if knock && Instant::now() < end {
                for host in hosts {
                    let knocking = TcpStream::connect((host.dialled_name(), host.port));
                    if let Ok(Ok(_)) = timeout(KNOCK_INTERVAL, knocking).await {
                        return true;
                    }
                }
            }
        }
        false
    }

    async fn dial(&self, host: &Host) -> Result<Live, DialError> {
        let address = host.address();
        let unreachable =
            |why: String| DialError::Unreachable(format!("RabbitMQ at {address}: {why}"));
        let silent = || {
            DialError::Failed(format!(
                "RabbitMQ at {address} accepts connections but does not answer"
            ))
        };
        let opening = open(
            host.clone(),
            self.config.clone(),
            self.virtual_host.clone(),
            format!("endpointd:{}:{}", std::process::id(), self.purpose),
        );
        #[expect(clippy::disallowed_methods, reason = "it is awaited here")]
        // Its socket is to wake the thread that its driver runs on.
        let opened = AbortOnDropHandle::new(self.io.spawn(opening)).await;
        let opened = opened.map_err(|error| failed(host, &error.to_string()))?;
        let (connection, driver) = match opened {
            Ok(opened) => opened,
            Err(OpenError::Socket(SocketError::Unreachable(error))) => {
                return Err(unreachable(format!("cannot connect: {error}")));
            }
            Err(OpenError::Socket(SocketError::Tls(error))) => {
                return Err(DialError::Refused(error.to_string()));
            }
            Err(OpenError::Socket(SocketError::Handshake(error))) => {
                return Err(explain_tls(host, &error)
                    .unwrap_or_else(|| failed(host, &format!("no TLS: {error}"))));
            }
            Err(OpenError::Socket(SocketError::Silent) | OpenError::Silent) => return Err(silent()),
            Err(OpenError::Wire(error)) => return Err(self.explain(host, &error)),
        };
        info!(parent: None, "Connected to RabbitMQ at {address} ({})", self.purpose);
        self.is_open.store(true, Ordering::Relaxed);
        let name = format!("RabbitMQ at {address} ({})", self.purpose);
        let running = run(driver, name, Arc::clone(&self.is_open));
        #[expect(
            clippy::disallowed_methods,
            reason = "the connection owns it, and ends it"
        )]
        let driver = self.io.spawn(running);
        Ok(Live {
            connection,
            driver: AbortOnDropHandle::new(driver),
        })
    }

    fn explain(&self, host: &Host, error: &wire::Error) -> DialError {
        let (address, user) = (host.address(), &host.user);
        let virtual_host = &self.virtual_host;
        let refusal = match error {
            wire::Error::Connection(refusal) => refusal,
            // With TLS 1.3 a broker refuses a client's certificate after the handshake.
            wire::Error::Io(io) => {
                return explain_tls(host, io).unwrap_or_else(|| failed(host, &io.to_string()));
            }
            wire::Error::LoginMethod { .. } => {
                return DialError::Refused(format!("RabbitMQ at {address}: {error}"));
            }
            _ => return failed(host, &error.to_string()),
        };
        match refusal.code {
            code::ACCESS_REFUSED => DialError::Refused(format!(
                "RabbitMQ at {address} refused the login of user `{user}`: check user and \
                 password in `transport_url`"
            )),
            code::NOT_ALLOWED => DialError::Refused(format!(
                "RabbitMQ at {address} refused user `{user}` the virtual host `{virtual_host}`: \
                 it does not exist, or the user has no permission for it"
            )),
            _ => failed(host, &error.to_string()),
        }
    }
}

/// Why no connection was opened.
enum OpenError {
    Socket(SocketError),
    Wire(wire::Error),
    /// Somebody listens there and says nothing.
    Silent,
}

/// Opens a connection to one host, under the name that the broker is to list it by.
async fn open(
    host: Host,
    config: Config,
    virtual_host: String,
    name: String,
) -> Result<(wire::Connection, Driver<Socket>), OpenError> {
    let mut socket = Socket::connect(&host, &config, DIAL_TIMEOUT)
        .await
        .map_err(OpenError::Socket)?;
    let bare = socket.bare();
    let login = Login {
        user: &host.user,
        password: &host.password,
        method: match config.rabbit_login_method {
            LoginMethod::Plain => SASLMechanism::Plain,
            LoginMethod::AmqPlain => SASLMechanism::AMQPlain,
            LoginMethod::External => SASLMechanism::External,
            LoginMethod::RabbitCrDemo => SASLMechanism::RabbitCrDemo,
        },
        virtual_host: &virtual_host,
        heartbeat: config.heartbeat_timeout_threshold,
        name,
    };
    match timeout(DIAL_TIMEOUT, wire::open(socket, bare, &login)).await {
        Ok(opened) => opened.map_err(OpenError::Wire),
        Err(_) => Err(OpenError::Silent),
    }
}

fn failed(host: &Host, why: &str) -> DialError {
    DialError::Failed(format!("RabbitMQ at {}: {why}", host.address()))
}

/// What a failure of TLS means; `None` where it is another one, or says nothing.
fn explain_tls(host: &Host, error: &std::io::Error) -> Option<DialError> {
    let refused = |why: &dyn std::fmt::Display| {
        DialError::Refused(format!("RabbitMQ at {}: {why}", host.address()))
    };
    let mut cause: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(refused(&tls::explain(error)?));
        }
        if let Some(error) = error.downcast_ref::<WantsTls>() {
            return Some(refused(error));
        }
        cause = error.source();
    }
    None
}

/// Runs an open connection until it is lost, and tells when that was.
async fn run(driver: Driver<Socket>, name: String, is_open: Arc<AtomicBool>) -> Instant {
    let error = driver.run(&name).await;
    is_open.store(false, Ordering::Relaxed);
    if !matches!(error, wire::Error::Closed) {
        warn!("Lost {name}: {error}; connecting again");
    }
    Instant::now()
}
