//! The admin listener, over HTTP.
//!
//! - `GET /live`: the process runs
//! - `GET /ready`: 200 while topics are served; 503 before, while the broker is lost, and while
//!   stopping
//! - `POST /call`: calls a method over the transport; only where the listener is on loopback
//! - `POST /cast`: the same without a reply

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::client::{ClientError, RpcClient, Target};
use crate::protocol::json;
use crate::transport::{Transport, TransportError};

/// What the routes need.
#[derive(Clone)]
pub struct Admin {
    pub client: RpcClient,
    pub phase: watch::Receiver<Phase>,
    pub transport: Arc<dyn Transport>,
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
        let (calls, casts) = match address.ip().is_loopback() {
            true => (post(call), post(cast)),
            false => (post(refuse_messages), post(refuse_messages)),
        };
        Router::new()
            .route("/live", get(|| async { "live\n" }))
            .route("/ready", get(ready))
            .route("/call", calls)
            .route("/cast", casts)
            .with_state(self)
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    let reason = match *admin.phase.borrow() {
        Phase::Serving if admin.transport.is_connected() => return "ready\n".into_response(),
        Phase::Starting | Phase::Serving => "waiting for the broker\n",
        Phase::Stopping => "stopping\n",
    };
    (StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
}

async fn refuse_messages() -> Response {
    let reason = "this host's admin listener is not on loopback, so it takes no calls";
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
    answer(outcome_of(calling.await))
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
    answer(outcome_of(
        casting.await.map(|()| RawValue::NULL.to_owned()),
    ))
}

impl Admin {
    /// The client for a request that may be sent; else the answer that says why not.
    fn prepare(
        &self,
        headers: &HeaderMap,
        body: Result<Json<SendRequest>, JsonRejection>,
    ) -> Result<(RpcClient, SendRequest), Box<Response>> {
        let refused = |status, reason: &str| Err(Box::new(error(status, reason.to_owned())));
        if !is_local(headers) {
            return refused(StatusCode::FORBIDDEN, "call by an address of this machine");
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
                ClientError::Closed => "the host is stopping".to_owned(),
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
        ClientError::Undeliverable(_) => StatusCode::NOT_FOUND,
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
