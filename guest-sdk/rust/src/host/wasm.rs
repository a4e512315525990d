//! The imports of a guest.

use std::time::{Duration, SystemTime};

use super::bindings::endpointd::rpc::{call_info, client as rpc};
use super::bindings::wasi::clocks::wall_clock;
use super::bindings::wasi::config::store as config;
use super::bindings::wasi::http::outgoing_handler;
use super::bindings::wasi::http::types::{self as wasi_http, ErrorCode};
use super::bindings::wasi::io::streams::StreamError;
use super::bindings::wasi::keyvalue::atomics::{self, Cas, CasError};
use super::bindings::wasi::keyvalue::store;
use super::bindings::wasi::logging::logging;
use super::bindings::wasi::random::random;
use crate::Failure;
use crate::call_info::Delivery;
use crate::client::{self, Kind, Target};
use crate::http;
use crate::keyvalue::Error;
use crate::log::Level;

pub(crate) fn log(level: Level, message: &str) {
    let level = match level {
        Level::Trace => logging::Level::Trace,
        Level::Debug => logging::Level::Debug,
        Level::Info => logging::Level::Info,
        Level::Warn => logging::Level::Warn,
        Level::Error => logging::Level::Error,
    };
    logging::log(level, "", message);
}

pub(crate) fn config_get(name: &str) -> Option<String> {
    config::get(name).ok().flatten()
}

pub(crate) fn call_id() -> String {
    call_info::id()
}

pub(crate) fn call_delivery() -> Delivery {
    match call_info::delivery() {
        call_info::DeliveryKind::Call => Delivery::Call,
        call_info::DeliveryKind::Cast => Delivery::Cast,
    }
}

pub(crate) fn call_remaining_ms() -> Option<u64> {
    call_info::remaining_ms()
}

pub(crate) fn host_started() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(call_info::host_started_ms())
}

pub(crate) fn call(
    to: &Target,
    method: &str,
    args: String,
    options: &client::Options,
) -> Result<String, client::Error> {
    let answered = rpc::call(&destination(to), method, &args, &rpc_options(options));
    Ok(answered?)
}

/// Sends what has no reply.
pub(crate) fn send(
    kind: Kind,
    to: &Target,
    method: &str,
    args: String,
    options: &client::Options,
) -> Result<(), client::Error> {
    let (to, options) = (destination(to), rpc_options(options));
    let sent = match kind {
        Kind::Fanout => rpc::fanout(&to, method, &args, &options),
        Kind::Call | Kind::Cast => rpc::cast(&to, method, &args, &options),
    };
    Ok(sent?)
}

fn destination(to: &Target) -> rpc::Destination {
    rpc::Destination {
        exchange: to.exchange.clone(),
        topic: to.topic.clone(),
        server: to.server.clone(),
        namespace: to.namespace.clone(),
        version: to.version.clone(),
    }
}

fn rpc_options(options: &client::Options) -> rpc::Options {
    rpc::Options {
        timeout_ms: options.timeout_ms,
        context: options.context.clone(),
    }
}

impl From<rpc::Error> for client::Error {
    fn from(error: rpc::Error) -> Self {
        match error {
            rpc::Error::NotGranted(line) => Self::NotGranted(line),
            rpc::Error::Invalid(problem) => Self::Invalid(problem),
            rpc::Error::Timeout => Self::Timeout,
            rpc::Error::Unroutable => Self::Unroutable,
            rpc::Error::Unavailable(reason) => Self::Unavailable(reason),
            rpc::Error::Remote(failure) => {
                let kwargs = failure.kwargs.as_deref().map(serde_json::from_str);
                Self::Remote(Failure {
                    class: failure.class,
                    module: failure.module,
                    message: failure.message,
                    kwargs: kwargs.and_then(Result::ok).unwrap_or_default(),
                    traceback: failure.traceback.into(),
                    expected: failure.expected,
                })
            }
        }
    }
}

pub(crate) fn now() -> SystemTime {
    let now = wall_clock::now();
    SystemTime::UNIX_EPOCH + Duration::new(now.seconds, now.nanoseconds)
}

pub(crate) fn random_u64() -> u64 {
    random::get_random_u64()
}

/// What a stream takes at once.
const WRITTEN_AT_ONCE: usize = 4096;
const READ_AT_ONCE: u64 = 64 * 1024;

pub(crate) fn http_send(
    request: &http::Request,
    scheme: &str,
    authority: &str,
    path: &str,
) -> Result<http::Response, http::Error> {
    let invalid = |what: &str| http::Error::Invalid(format!("its {what} cannot be sent"));
    let headers = request.headers.iter();
    let mut headers: Vec<_> = headers
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    if !request.body.is_empty() {
        let length = request.body.len().to_string();
        headers.push(("content-length".to_owned(), length.into_bytes()));
    }
    let headers = wasi_http::Fields::from_list(&headers).map_err(|_| invalid("headers"))?;
    let outgoing = wasi_http::OutgoingRequest::new(headers);
    let method = match request.method.as_str() {
        "GET" => wasi_http::Method::Get,
        "HEAD" => wasi_http::Method::Head,
        "POST" => wasi_http::Method::Post,
        "PUT" => wasi_http::Method::Put,
        "DELETE" => wasi_http::Method::Delete,
        "PATCH" => wasi_http::Method::Patch,
        "OPTIONS" => wasi_http::Method::Options,
        other => wasi_http::Method::Other(other.to_owned()),
    };
    outgoing
        .set_method(&method)
        .map_err(|()| invalid("method"))?;
    let scheme = match scheme {
        "http" => wasi_http::Scheme::Http,
        "https" => wasi_http::Scheme::Https,
        other => wasi_http::Scheme::Other(other.to_owned()),
    };
    outgoing
        .set_scheme(Some(&scheme))
        .map_err(|()| invalid("scheme"))?;
    let authority = outgoing.set_authority(Some(authority));
    authority.map_err(|()| invalid("host"))?;
    let path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    };
    let path = outgoing.set_path_with_query(Some(&path));
    path.map_err(|()| invalid("path"))?;
    let body = outgoing.body().map_err(|()| invalid("body"))?;
    // Handed over first, or a long body would wait for somebody to read it.
    let response = outgoing_handler::handle(outgoing, None)?;
    if !request.body.is_empty() {
        let stream = body.write().map_err(|()| invalid("body"))?;
        for part in request.body.chunks(WRITTEN_AT_ONCE) {
            stream.blocking_write_and_flush(part)?;
        }
    }
    wasi_http::OutgoingBody::finish(body, None)?;
    response.subscribe().block();
    let response = match response.get() {
        Some(Ok(response)) => response?,
        Some(Err(())) | None => {
            return Err(http::Error::Failed("there was no response".to_owned()));
        }
    };
    let status = response.status();
    let headers = response.headers().entries();
    let unread = |()| http::Error::Failed("its body cannot be read".to_owned());
    let incoming = response.consume().map_err(unread)?;
    let stream = incoming.stream().map_err(unread)?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ_AT_ONCE) {
            Ok(part) => body.extend(part),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(http::Response {
        status,
        headers,
        body,
    })
}

impl From<ErrorCode> for http::Error {
    fn from(error: ErrorCode) -> Self {
        match error {
            ErrorCode::HttpRequestDenied => Self::Denied,
            ErrorCode::InternalError(Some(reason)) => Self::Failed(reason),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<StreamError> for http::Error {
    fn from(error: StreamError) -> Self {
        Self::Failed(match error {
            StreamError::Closed => "the connection was closed".to_owned(),
            StreamError::LastOperationFailed(error) => error.to_debug_string(),
        })
    }
}

/// Once a bucket is open, its name can no longer be what is wrong.
impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Backend(match error {
            store::Error::NoSuchStore => "it is gone".to_owned(),
            store::Error::AccessDenied => "it is no longer granted".to_owned(),
            store::Error::Other(reason) => reason,
        })
    }
}

#[derive(Debug)]
pub(crate) struct Bucket(store::Bucket);

/// A handle to try a swap again with, and the value that was in the way.
type Conflict = (Swap, Option<Vec<u8>>);

#[derive(Debug)]
pub(crate) struct Swap(Cas);

impl Bucket {
    pub(crate) fn open(name: &str) -> Result<Self, Error> {
        match store::open(name) {
            Ok(bucket) => Ok(Self(bucket)),
            Err(store::Error::NoSuchStore) => Err(Error::NoSuchBucket(name.to_owned())),
            Err(store::Error::AccessDenied) => Err(Error::AccessDenied(name.to_owned())),
            Err(store::Error::Other(reason)) => Err(Error::Backend(reason)),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key)?)
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        Ok(self.0.set(key, value)?)
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), Error> {
        Ok(self.0.delete(key)?)
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.0.exists(key)?)
    }

    pub(crate) fn keys(&self) -> Result<Vec<String>, Error> {
        let mut keys = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.0.list_keys(cursor.as_deref())?;
            keys.extend(page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(keys);
            }
        }
    }

    pub(crate) fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        Ok(atomics::increment(&self.0, key, delta)?)
    }

    pub(crate) fn read_to_swap(&self, key: &str) -> Result<Conflict, Error> {
        let (cas, value) = Cas::new_with_read(&self.0, key)?;
        Ok((Swap(cas), value))
    }
}

impl Swap {
    pub(crate) fn swap(self, value: &[u8]) -> Result<Option<Conflict>, Error> {
        match atomics::swap(self.0, value) {
            Ok(()) => Ok(None),
            Err(CasError::CasFailed((cas, value))) => Ok(Some((Swap(cas), value))),
            Err(CasError::StoreError(error)) => Err(error.into()),
        }
    }
}
