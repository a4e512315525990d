//! HTTP to the hosts that the operator granted: `http = ["HOST"]` under `[grants]` in plugin.toml.
//!
//! What is left of the time of the call being answered bounds a request.
//!
//! ```
//! use endpointd_guest::http::{self, Request};
//! use endpointd_guest::{Result, endpoint};
//! use serde_json::{Value, json};
//!
//! #[derive(Default)]
//! struct Status;
//!
//! #[endpoint(version = "1.0")]
//! impl Status {
//!     /// What a service says of itself.
//!     pub fn of(&self, service: String) -> Result<Value> {
//!         Ok(http::get(format!("https://status.example.org/{service}"))?.json()?)
//!     }
//!
//!     pub fn report(&self, service: String, down: bool) -> Result<u16> {
//!         let request = Request::post(format!("https://status.example.org/{service}"))
//!             .header("authorization", "Bearer ...")
//!             .json(&json!({"down": down}));
//!         Ok(request.send()?.status)
//!     }
//! }
//! # use endpointd_guest::http::Response;
//! # endpointd_guest::testing::respond(|request| {
//! #     assert_eq!(request.url, "https://status.example.org/dns");
//! #     Ok(Response { status: 200, headers: vec![], body: b"{\"up\": true}".to_vec() })
//! # });
//! # assert_eq!(Status.of("dns".into()), Ok(json!({"up": true})));
//! # assert_eq!(Status.report("dns".into(), true), Ok(200));
//! ```

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Failure, host};

/// A request that is to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// `http://` or `https://`, with the host that is granted.
    pub url: String,
    /// Names and values. `host` is set from the URL.
    pub headers: Vec<(String, String)>,
    /// Empty for none.
    pub body: Vec<u8>,
}

/// What came back, whatever its status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// All of it.
    pub body: Vec<u8>,
}

/// Why there is no response, or not one that can be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Error {
    /// The operator did not grant the host.
    Denied,
    /// The request is not well formed.
    Invalid(String),
    /// It was not answered, for this reason.
    Failed(String),
    /// The body is not JSON, or not that of the type asked for, or no text.
    Body(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Denied => {
                f.write_str("the host of the HTTP request is not granted to this plugin")
            }
            Self::Invalid(problem) => write!(f, "the HTTP request is wrong: {problem}"),
            Self::Failed(reason) => write!(f, "the HTTP request failed: {reason}"),
            Self::Body(problem) => write!(f, "the body is not as expected: {problem}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new("endpointd", "HttpError", error.to_string())
    }
}

/// Sends a GET request.
pub fn get(url: impl Into<String>) -> Result<Response, Error> {
    Request::new("GET", url).send()
}

impl Request {
    /// Without headers and body.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A POST request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// With one more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With this body as JSON, and the header that says so.
    pub fn json<T: Serialize>(self, body: &T) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.header("content-type", "application/json").body(body)
    }

    /// Sends it, and waits for the whole response.
    pub fn send(self) -> Result<Response, Error> {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return Err(Error::Invalid("its URL has no scheme".to_owned()));
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        host::http_send(&self, scheme, authority, path)
    }
}

impl Response {
    /// The body as text.
    pub fn text(self) -> Result<String, Error> {
        String::from_utf8(self.body).map_err(|error| Error::Body(error.to_string()))
    }

    /// The body read as JSON.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Body(error.to_string()))
    }
}
