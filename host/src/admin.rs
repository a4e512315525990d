//! The admin listener, over HTTP.
//!
//! - `GET /live`: the process runs
//! - `GET /ready`: 200 while topics are served; 503 before, while the broker is lost, and while
//!   stopping
//! - `GET /plugins`: the state of each plugin
//! - `GET /metrics`: counts of each plugin, for Prometheus
//! - `POST /plugins/reload`: loads what changed in the plugin folder, now; only on loopback, as the
//!   next ones
//! - `POST /plugins/NAME/rollback`: returns to the generation before
//! - `POST /call`: calls a method over the transport
//! - `POST /cast`: the same without a reply

mod metrics;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::catalog::status::{Entry, PluginStatus};
use crate::catalog::{Command, RollbackError};
use crate::client::{ClientError, RpcClient, Target};
use crate::protocol::json;
use crate::transport::{Transport, TransportError};

/// What RabbitMQ takes by default, and the quoting of it.
const LARGEST_BODY: usize = 192 * 1024 * 1024;
const NOT_LOCAL: &str = "ask by an address of this machine";

/// What the routes need.
#[derive(Clone)]
pub struct Admin {
    pub client: RpcClient,
    pub phase: watch::Receiver<Phase>,
    pub transport: Arc<dyn Transport>,
    pub plugins: watch::Receiver<Arc<[Entry]>>,
    /// What the catalog is asked to do.
    pub commands: mpsc::Sender<Command>,
}

/// What the host is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    Starting,
    Serving,
    Stopping,
}

/// The body of `POST /call` and `POST /cast`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    pub topic: String,
    pub method: String,
    #[serde(default = "json::empty_object")]
    pub args: Box<RawValue>,
    #[serde(default = "json::empty_object")]
    pub context: Box<RawValue>,
    pub namespace: Option<String>,
    pub version: Option<String>,
    pub server: Option<String>,
    /// To every server of the topic; not for calls.
    #[serde(default)]
    pub fanout: bool,
    pub exchange: Option<String>,
    pub timeout_ms: Option<u64>,
}

/// What became of a message: the answer of `POST /call` and `POST /cast`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// With status 200; `null` for a cast.
    Result(Box<RawValue>),
    /// With status 200.
    Failure(RemoteFailure),
    /// With another status, which tells the kind.
    Error(String),
}

/// The exception that the other side answered with.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RemoteFailure {
    pub class: String,
    pub module: String,
    pub message: String,
    /// What a caller rebuilds the exception with, if the other side gave any: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kwargs: Option<Box<RawValue>>,
    pub traceback: Vec<String>,
}

impl Admin {
    /// Answers on `listener` until `stop`.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let address = listener.local_addr()?;
        axum::serve(listener, self.routes(address))
            .with_graceful_shutdown(stop.cancelled_owned())
            .await
    }

    fn routes(self, address: SocketAddr) -> Router {
        // Whoever reaches it can call anything, so it is for this machine only. A web page in a
        // browser here cannot: it may not send JSON to another origin without asking first, and
        // one whose own name was made to mean this machine is known by that name.
        let orders = match address.ip().is_loopback() {
            true => Router::new()
                .route("/call", post(call))
                .route("/cast", post(cast))
                .route("/plugins/reload", post(reload))
                .route("/plugins/{name}/rollback", post(rollback)),
            false => [
                "/call",
                "/cast",
                "/plugins/reload",
                "/plugins/{name}/rollback",
            ]
            .into_iter()
            .fold(Router::new(), |router, path| {
                router.route(path, post(refuse))
            }),
        };
        Router::new()
            .route("/live", get(|| async { "live\n" }))
            .route("/ready", get(ready))
            .route("/plugins", get(plugins))
            .route("/metrics", get(metrics))
            .merge(orders)
            .layer(DefaultBodyLimit::max(LARGEST_BODY))
            .with_state(self)
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    let reason = match *admin.phase.borrow() {
        Phase::Serving if !admin.serves() => "no plugin serves\n",
        Phase::Serving if admin.transport.is_connected() => return "ready\n".into_response(),
        Phase::Starting | Phase::Serving => "waiting for the broker\n",
        Phase::Stopping => "stopping\n",
    };
    (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
}

async fn plugins(State(admin): State<Admin>) -> Json<Vec<PluginStatus>> {
    Json(admin.plugins())
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let text = metrics::text(&admin.plugins());
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

/// Answers with the state of all plugins after it.
async fn reload(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    if let Some(refused) = refused_order(&headers) {
        return refused;
    }
    let (done, waiting) = oneshot::channel();
    match admin.order(Command::Reload(done), waiting).await {
        Err(stopping) => *stopping,
        Ok(Err(problem)) => error(StatusCode::CONFLICT, problem.to_string()),
        Ok(Ok(())) => Json(admin.plugins()).into_response(),
    }
}

/// Answers with the state of the plugin after it.
async fn rollback(
    State(admin): State<Admin>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Response {
    if let Some(refused) = refused_order(&headers) {
        return refused;
    }
    let (done, waiting) = oneshot::channel();
    let order = Command::Rollback {
        name: name.clone(),
        done,
    };
    match admin.order(order, waiting).await {
        Err(stopping) => *stopping,
        Ok(Err(problem @ RollbackError::NoSuchPlugin(_))) => {
            error(StatusCode::NOT_FOUND, problem.to_string())
        }
        Ok(Err(problem @ RollbackError::NothingBefore(_))) => {
            error(StatusCode::CONFLICT, problem.to_string())
        }
        Ok(Ok(())) => {
            let plugin = admin.plugins().into_iter().find(|one| one.name == name);
            Json(plugin).into_response()
        }
    }
}

/// Orders have no body, but must say that it would be JSON: a web page can make a browser send any
/// other without asking.
fn refused_order(headers: &HeaderMap) -> Option<Response> {
    if !is_local(headers) {
        return Some(error(StatusCode::FORBIDDEN, NOT_LOCAL.to_owned()));
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next();
    let is_json = kind.is_some_and(|kind| kind.trim() == "application/json");
    let problem = "send it with `Content-Type: application/json`";
    (!is_json).then(|| error(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem.to_owned()))
}

async fn refuse() -> Response {
    let reason = "this host's admin listener is not on loopback, so it takes no orders";
    error(StatusCode::FORBIDDEN, reason.to_owned())
}

async fn call(
    State(admin): State<Admin>,
    headers: HeaderMap,
    body: Result<Json<SendRequest>, JsonRejection>,
) -> Response {
    let (client, request) = match admin.prepare(&headers, body) {
        Ok(prepared) => prepared,
        Err(refused) => return *refused,
    };
    let calling = client.call_json(&request.context, &request.method, &request.args);
    answer(admin.explained(outcome_of(calling.await)))
}

async fn cast(
    State(admin): State<Admin>,
    headers: HeaderMap,
    body: Result<Json<SendRequest>, JsonRejection>,
) -> Response {
    let (client, request) = match admin.prepare(&headers, body) {
        Ok(prepared) => prepared,
        Err(refused) => return *refused,
    };
    let casting = client.cast_json(&request.context, &request.method, &request.args);
    let sent = casting.await.map(|()| RawValue::NULL.to_owned());
    answer(admin.explained(outcome_of(sent)))
}

impl Admin {
    fn plugins(&self) -> Vec<PluginStatus> {
        self.plugins.borrow().iter().map(Entry::status).collect()
    }

    /// Whether there is anything to call.
    fn serves(&self) -> bool {
        let plugins = self.plugins.borrow();
        plugins.iter().any(|plugin| plugin.current.is_some())
    }

    /// Where no server listens, with what this host has and does not serve: that may well be what was meant.
    fn explained(&self, (status, outcome): (StatusCode, Outcome)) -> (StatusCode, Outcome) {
        let Outcome::Error(problem) = outcome else {
            return (status, outcome);
        };
        if status != StatusCode::NOT_FOUND {
            return (status, Outcome::Error(problem));
        }
        let plugins = self.plugins.borrow();
        let failed: Vec<_> = plugins
            .iter()
            .filter(|plugin| plugin.problem.is_some() || plugin.current.is_none())
            .collect();
        let explained = match failed[..] {
            [] => problem,
            [one] => {
                let (name, why) = (&one.name, one.problem.as_deref());
                let why = why.unwrap_or("it was not loaded yet");
                format!(
                    "{problem}; this host does not serve what is in the folder of `{name}`: {why}"
                )
            }
            _ => format!(
                "{problem}; this host does not serve what is in the folders of {} plugins: \
                 `endpointd plugins` tells which and why",
                failed.len()
            ),
        };
        (status, Outcome::Error(explained))
    }

    /// Has the catalog do it, and waits for the answer.
    async fn order<T>(
        &self,
        order: Command,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, Box<Response>> {
        let stopping = || {
            let reason = "the host is stopping".to_owned();
            Box::new(error(StatusCode::SERVICE_UNAVAILABLE, reason))
        };
        let sent = self.commands.send(order).await;
        sent.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }

    /// The client for a request that may be sent; else the answer that says why not.
    fn prepare(
        &self,
        headers: &HeaderMap,
        body: Result<Json<SendRequest>, JsonRejection>,
    ) -> Result<(RpcClient, SendRequest), Box<Response>> {
        let refused = |status, reason: &str| Err(Box::new(error(status, reason.to_owned())));
        if !is_local(headers) {
            return refused(StatusCode::FORBIDDEN, NOT_LOCAL);
        }
        let not_now = |reason| refused(StatusCode::SERVICE_UNAVAILABLE, reason);
        match *self.phase.borrow() {
            Phase::Serving => {}
            Phase::Starting => return not_now("the host is waiting for its broker"),
            Phase::Stopping => return not_now("the host is stopping"),
        }
        let Json(request) = match body {
            Ok(body) => body,
            Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
        };
        match request.prepare(&self.client) {
            Ok(client) => Ok((client, request)),
            Err(problem) => refused(status_of(&problem), &problem.to_string()),
        }
    }
}

impl SendRequest {
    /// The client that sends it, made of another that has the host's own exchange and timeout.
    pub fn prepare(&self, client: &RpcClient) -> Result<RpcClient, ClientError> {
        let target = Target {
            exchange: self.exchange.clone(),
            topic: Some(self.topic.clone()),
            server: self.server.clone(),
            namespace: self.namespace.clone(),
            version: None,
            fanout: self.fanout,
        };
        client
            .prepare()
            .with_target(target)
            .timeout(self.timeout_ms.map(Duration::from_millis))
            .version(self.version.as_deref())
    }
}

/// What became of a message, and the status that tells the kind.
pub fn outcome_of(sent: Result<Box<RawValue>, ClientError>) -> (StatusCode, Outcome) {
    match sent {
        Ok(result) => (StatusCode::OK, Outcome::Result(result)),
        Err(ClientError::Remote(failure)) => {
            let failure = RemoteFailure {
                class: failure.class,
                module: failure.module,
                message: failure.message,
                kwargs: failure.kwargs.filter(|kwargs| kwargs.get() != "{}"),
                traceback: failure.traceback,
            };
            (StatusCode::OK, Outcome::Failure(failure))
        }
        Err(error) => {
            let status = status_of(&error);
            let text = match &error {
                ClientError::TimedOut { after, .. } => {
                    format!("no reply within {} s", after.as_secs_f64())
                }
                ClientError::Closed => {
                    "the host stopped before there was a reply: the method may have run".to_owned()
                }
                _ => error.to_string(),
            };
            (status, Outcome::Error(text))
        }
    }
}

fn status_of(error: &ClientError) -> StatusCode {
    match error {
        ClientError::TimedOut { .. } | ClientError::NotSent(TransportError::TimedOut) => {
            StatusCode::GATEWAY_TIMEOUT
        }
        ClientError::Undeliverable { .. } => StatusCode::NOT_FOUND,
        ClientError::InvalidTarget(_)
        | ClientError::InvalidVersion(_)
        | ClientError::VersionCap { .. }
        | ClientError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        ClientError::TooMany => StatusCode::TOO_MANY_REQUESTS,
        ClientError::Closed => StatusCode::SERVICE_UNAVAILABLE,
        ClientError::Remote(_) | ClientError::NotSent(_) | ClientError::UnexpectedResult(_) => {
            StatusCode::BAD_GATEWAY
        }
    }
}

fn answer((status, outcome): (StatusCode, Outcome)) -> Response {
    (status, Json(outcome)).into_response()
}

fn error(status: StatusCode, reason: String) -> Response {
    answer((status, Outcome::Error(reason)))
}

/// Whether the request was addressed to this machine as itself, and not by a name that somebody
/// else may have pointed here.
fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(authority) = host.and_then(|host| host.parse::<Authority>().ok()) else {
        return false;
    };
    let name = authority.host();
    let address = name
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
