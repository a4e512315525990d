//! The admin listener, over HTTP.
//!
//! - `GET /live`: the process runs
//! - `GET /ready`: 200 while topics are served; 503 before, while the broker is lost, and while
//!   stopping
//! - `POST /call`: calls a method over the transport; only where the listener is on loopback

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

use crate::client::reply_waiter::NoReply;
use crate::client::{CallError, RpcCall, RpcClient};
use crate::protocol::json;
use crate::transport::Transport;

/// What the routes need.
#[derive(Clone)]
pub struct Admin {
    pub client: Arc<RpcClient>,
    pub phase: watch::Receiver<Phase>,
    pub transport: Arc<dyn Transport>,
    /// The exchange of a call that names none.
    pub exchange: String,
    pub default_timeout: Duration,
}

/// What the host is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    Starting,
    Serving,
    Stopping,
}

/// The body of `POST /call`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CallRequest {
    pub topic: String,
    pub method: String,
    #[serde(default = "json::empty_object")]
    pub args: Box<RawValue>,
    #[serde(default = "json::empty_object")]
    pub context: Box<RawValue>,
    pub namespace: Option<String>,
    pub version: Option<String>,
    pub server: Option<String>,
    pub exchange: Option<String>,
    pub timeout_ms: Option<u64>,
}

/// The answer of `POST /call`: with status 200 one of the first two, else `error`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CallResponse {
    Result(Box<RawValue>),
    Failure(RemoteFailureBody),
    Error(String),
}

/// The exception that the other side answered with.
#[derive(Debug, Deserialize, Serialize)]
pub struct RemoteFailureBody {
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
        let calls = match address.ip().is_loopback() {
            true => post(call),
            false => post(refuse_calls),
        };
        Router::new()
            .route("/live", get(|| async { "live\n" }))
            .route("/ready", get(ready))
            .route("/call", calls)
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

async fn refuse_calls() -> Response {
    let reason = "this host's admin listener is not on loopback, so it takes no calls";
    let error = CallResponse::Error(reason.to_owned());
    (StatusCode::FORBIDDEN, Json(error)).into_response()
}

async fn call(
    State(admin): State<Admin>,
    headers: HeaderMap,
    request: Result<Json<CallRequest>, JsonRejection>,
) -> Response {
    if !is_local(&headers) {
        let error = CallResponse::Error("call by an address of this machine".to_owned());
        return (StatusCode::FORBIDDEN, Json(error)).into_response();
    }
    let reason = match *admin.phase.borrow() {
        Phase::Serving => None,
        Phase::Starting => Some("the host is waiting for its broker"),
        Phase::Stopping => Some("the host is stopping"),
    };
    if let Some(reason) = reason {
        let error = CallResponse::Error(reason.to_owned());
        return (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response();
    }
    let request = match request {
        Ok(Json(request)) => request,
        Err(rejection) => {
            let error = CallResponse::Error(rejection.body_text());
            return (rejection.status(), Json(error)).into_response();
        }
    };
    if !json::is_object(&request.args) || !json::is_object(&request.context) {
        let error = CallResponse::Error("`args` and `context` must be objects".to_owned());
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response();
    }
    let timeout_ms = request.timeout_ms.map(Duration::from_millis);
    let outcome = admin
        .client
        .call(RpcCall {
            exchange: request.exchange.as_deref().unwrap_or(&admin.exchange),
            topic: &request.topic,
            server: request.server.as_deref(),
            namespace: request.namespace.as_deref(),
            version: request.version.as_deref(),
            method: &request.method,
            args: &request.args,
            context: &request.context,
            timeout: timeout_ms.unwrap_or(admin.default_timeout),
        })
        .await;
    let (status, body) = match outcome {
        Ok(result) => (StatusCode::OK, CallResponse::Result(result)),
        Err(CallError::Remote(failure)) => {
            let body = RemoteFailureBody {
                class: failure.class,
                module: failure.module,
                message: failure.message,
                traceback: failure.traceback,
            };
            (StatusCode::OK, CallResponse::Failure(body))
        }
        Err(error) => {
            let status = match error {
                CallError::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
                CallError::NoServer(_) => StatusCode::NOT_FOUND,
                CallError::Context(_) => StatusCode::UNPROCESSABLE_ENTITY,
                CallError::NoReply(NoReply::TooMany) => StatusCode::TOO_MANY_REQUESTS,
                CallError::NoReply(NoReply::Stopped) => StatusCode::SERVICE_UNAVAILABLE,
                CallError::Remote(_) | CallError::Transport(_) => StatusCode::BAD_GATEWAY,
            };
            (status, CallResponse::Error(error.to_string()))
        }
    };
    (status, Json(body)).into_response()
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
