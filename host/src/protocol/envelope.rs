//! Message bodies: bytes to a `Request` or `Reply` and back.
//!
//! Envelope 2.0 holds the message as a string of JSON; without an envelope the body is the
//! message itself, which is version 1.0 (oslo_messaging/_drivers/common.py: `deserialize_msg`).
//! Values pass through as the text they came as: no document tree is built, so nothing that a
//! caller or a guest sent is changed on the way.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::compression::{Codec, CompressionError};
use super::failure::Failure;
use super::json::{self, Json, ObjectWriter};
use super::target::RequestedVersion;

/// A larger body is rejected unread: it would be copied several times on its way to a guest whose
/// memory it most probably exceeds.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// The same for one that is compressed: a few bytes may claim to be as many.
const MAX_DECOMPRESSED_BYTES: usize = 16 * 1024 * 1024;
/// The longest name AMQP can carry (a short string).
const MAX_NAME_BYTES: usize = 255;
const VERSION_KEY: &str = "oslo.version";
const MESSAGE_KEY: &str = "oslo.message";
const CONTEXT_PREFIX: &str = "_context_";
/// Context entries that the transport owns: they never reach an endpoint (`amqp.py:
/// unpack_context` overwrites them).
const TRANSPORT_CONTEXT: [&str; 3] = ["msg_id", "reply_q", "client_timeout"];

/// A body that is not an RPC message. It is rejected without requeueing: a copy would not be
/// better.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the content type is not application/json")]
    ContentType,
    #[error(transparent)]
    Compression(#[from] CompressionError),
    #[error("the body has {0} bytes, more than the {MAX_BODY_BYTES} that are read")]
    TooLarge(usize),
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the body is not a JSON object: {0}")]
    NotAnObject(serde_json::Error),
    #[error("the envelope's version is not 2.0")]
    Version,
    #[error("the envelope's message is not a string of JSON")]
    MessageNotText,
    #[error("the envelope's message is not a JSON object: {0}")]
    MessageNotAnObject(serde_json::Error),
}

/// A message that has a body form: a request or a reply.
pub trait Message: Sized + Send + 'static {
    /// Reads the bare message, an object, from JSON text.
    fn from_json(text: &str) -> Result<Self, serde_json::Error>;

    /// The message, read with something else in place of numbers that JSON has not: what they were
    /// in cannot be passed on.
    fn with_non_finite_numbers(self) -> Self;

    /// What duplicates of it are known by, where they are to be dropped.
    fn unique_id(&self) -> Option<&str>;
}

/// The body of a message as its properties say it is to be read: the content type, and the
/// `compression` header if there is one.
pub fn open<'a>(
    body: &'a [u8],
    content_type: Option<&str>,
    compression: Option<&str>,
) -> Result<Cow<'a, [u8]>, EnvelopeError> {
    if content_type != Some("application/json") {
        return Err(EnvelopeError::ContentType);
    }
    match compression {
        None | Some("") => Ok(Cow::Borrowed(body)),
        Some(name) => {
            let codec = Codec::of_header(name)?;
            Ok(Cow::Owned(codec.decompress(body, MAX_DECOMPRESSED_BYTES)?))
        }
    }
}

/// Reads a whole body, with an envelope or without.
pub fn decode<T: Message>(body: &[u8]) -> Result<T, EnvelopeError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(EnvelopeError::TooLarge(body.len()));
    }
    let text = std::str::from_utf8(body).map_err(|_| EnvelopeError::NotUtf8)?;
    if text.is_empty() {
        return T::from_json("{}").map_err(EnvelopeError::NotAnObject);
    }
    // What is no JSON may still be Python's: a message without an envelope.
    let outer = serde_json::from_str(text).unwrap_or_else(|_| Outer::default());
    let (Some(version), Some(message)) = (outer.version, outer.message) else {
        return read(text).map_err(EnvelopeError::NotAnObject);
    };
    if !is_envelope_version(version) {
        return Err(EnvelopeError::Version);
    }
    let inner: String =
        serde_json::from_str(message.get()).map_err(|_| EnvelopeError::MessageNotText)?;
    read(&inner).map_err(EnvelopeError::MessageNotAnObject)
}

/// Reads a bare message, also one that Python takes for JSON.
fn read<T: Message>(text: &str) -> Result<T, serde_json::Error> {
    T::from_json(text).or_else(|error| match json::without_non_finite(text) {
        Some(replaced) => Ok(T::from_json(&replaced)?.with_non_finite_numbers()),
        None => Err(error),
    })
}

/// The bytes of a message in envelope 2.0.
fn seal(message: &str) -> Vec<u8> {
    let message = json::quote(message);
    format!(r#"{{"{VERSION_KEY}": "2.0", "{MESSAGE_KEY}": {message}}}"#).into_bytes()
}

/// Whether upstream, which speaks 2.0, reads an envelope of this version.
fn is_envelope_version(version: &RawValue) -> bool {
    let Ok(text) = serde_json::from_str::<String>(version.get()) else {
        return false;
    };
    let spoken = "2.0".parse().expect("a version");
    super::target::is_compatible(spoken, &RequestedVersion::Text(text)) == Ok(true)
}

/// A call or cast as it reached us.
#[derive(Debug)]
pub struct Request {
    pub namespace: Namespace,
    pub version: RequestedVersion,
    /// `None` where the key is missing or no string.
    pub method: Option<String>,
    /// An object; a missing key is an empty one.
    pub args: Result<Json, BadArguments>,
    /// An object with the entries of the caller's context.
    pub context: Json,
    /// `None` for a cast.
    pub reply_to: Option<ReplyAddress>,
    /// How often the caller wants to hear that its call is being worked on; never more often than
    /// once a second.
    pub heartbeat_every: Option<Duration>,
    /// What duplicates are known by.
    pub unique_id: Option<String>,
}

/// Why a method cannot be given its arguments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BadArguments {
    NotAnObject,
    /// They have `NaN` or `Infinity`, or the context has: Python's, and not JSON.
    NotFinite,
}

/// The `namespace` key of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Namespace {
    Null,
    Named(String),
    /// Another JSON type: upstream compares it with names, and it equals none.
    NotText,
}

/// Where a call wants its reply, and what it is to be called there.
#[derive(Clone, Debug)]
pub struct ReplyAddress {
    pub queue: String,
    /// Any JSON scalar; echoed as it came.
    pub message_id: Json,
}

impl Message for Request {
    fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let fields: Fields<'_> = serde_json::from_str(text)?;
        let mut request = Self {
            namespace: Namespace::Null,
            version: RequestedVersion::Text("1.0".to_owned()),
            method: None,
            args: Ok(json::empty_object()),
            context: json::empty_object(),
            reply_to: None,
            heartbeat_every: None,
            unique_id: None,
        };
        let mut context: Vec<(Cow<'_, str>, &RawValue)> = Vec::new();
        let (mut message_id, mut reply_queue) = (None, None);
        for (key, value) in fields.0 {
            match key.as_ref() {
                "namespace" => request.namespace = namespace(value),
                "version" => request.version = version(value),
                "method" => request.method = text_of(value),
                "args" => {
                    request.args = match json::is_object(value) {
                        true => Ok(value.to_owned()),
                        false => Err(BadArguments::NotAnObject),
                    }
                }
                "_timeout" => request.heartbeat_every = heartbeat_interval(value),
                "_msg_id" => message_id = is_present(value).then(|| value.to_owned()),
                "_reply_q" => reply_queue = text_of(value).filter(|queue| is_queue_name(queue)),
                "_unique_id" => request.unique_id = text_of(value),
                other => {
                    if let Some(entry) = other.strip_prefix(CONTEXT_PREFIX)
                        && !TRANSPORT_CONTEXT.contains(&entry)
                    {
                        context.push((Cow::Owned(entry.to_owned()), value));
                    }
                }
            }
        }
        request.context = object(&context);
        // Without a queue nobody can be answered, whatever the message id says: upstream tries
        // for a minute to publish to a queue without a name.
        request.reply_to = message_id
            .zip(reply_queue)
            .map(|(message_id, queue)| ReplyAddress { queue, message_id });
        Ok(request)
    }

    fn with_non_finite_numbers(self) -> Self {
        Self {
            args: Err(BadArguments::NotFinite),
            ..self
        }
    }

    fn unique_id(&self) -> Option<&str> {
        self.unique_id.as_deref()
    }
}

/// What a client sends: the keys in upstream's order (rpc/client.py: `_make_message`).
#[derive(Debug)]
pub struct OutgoingRequest<'a> {
    pub namespace: Option<&'a str>,
    pub version: Option<&'a str>,
    pub method: &'a str,
    /// An object.
    pub args: &'a RawValue,
    /// An object.
    pub context: &'a RawValue,
    /// What stands in the context instead of its entries of these names.
    pub trace: &'a [(String, String)],
    /// `None` for a cast.
    pub reply_to: Option<ReplyTo<'a>>,
    pub unique_id: &'a str,
}

/// Where the reply to a call is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct ReplyTo<'a> {
    pub queue: &'a str,
    pub message_id: &'a str,
}

impl OutgoingRequest<'_> {
    /// The body of the request; fails where the context is no object.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let context: Fields<'_> = serde_json::from_str(self.context.get())?;
        let mut message = ObjectWriter::default();
        message.text("method", self.method);
        message.raw("args", self.args.get());
        if let Some(namespace) = self.namespace {
            message.text("namespace", namespace);
        }
        if let Some(version) = self.version {
            message.text("version", version);
        }
        if let Some(ReplyTo { queue, message_id }) = self.reply_to {
            message.text("_msg_id", message_id);
            message.text("_reply_q", queue);
            message.raw("_timeout", "null");
        }
        message.text("_unique_id", self.unique_id);
        let is_trace = |key: &str| self.trace.iter().any(|(name, _)| name == key);
        for (key, value) in context.0 {
            if !is_trace(&key) {
                message.raw(&format!("{CONTEXT_PREFIX}{key}"), value.get());
            }
        }
        for (key, text) in self.trace {
            message.text(&format!("{CONTEXT_PREFIX}{key}"), text);
        }
        Ok(seal(&message.finish()))
    }
}

/// A reply as it reached us.
#[derive(Debug)]
pub struct Reply {
    pub message_id: Option<String>,
    pub outcome: Result<Json, RemoteFailure>,
    /// False for heartbeats, and for the first half of a reply from before release 4.0.
    pub ending: bool,
}

/// A remote exception as its receiver knows it; every key is optional on the wire.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct RemoteFailure {
    pub class: String,
    pub module: String,
    pub message: String,
    #[serde(rename = "tb")]
    pub traceback: Vec<String>,
}

impl Default for RemoteFailure {
    fn default() -> Self {
        Self {
            class: "None".to_owned(),
            module: "None".to_owned(),
            message: "None".to_owned(),
            traceback: Vec::new(),
        }
    }
}

impl RemoteFailure {
    /// What a caller gets instead of an answer that cannot be read.
    fn invalid_reply(problem: &str) -> Self {
        Self {
            class: "InvalidReply".to_owned(),
            module: "endpointd".to_owned(),
            message: problem.to_owned(),
            traceback: Vec::new(),
        }
    }
}

impl Message for Reply {
    fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let fields: Fields<'_> = serde_json::from_str(text)?;
        let (mut message_id, mut result, mut failure, mut ending) = (None, None, None, false);
        for (key, value) in fields.0 {
            match key.as_ref() {
                "_msg_id" => message_id = text_of(value),
                "result" => result = Some(value.to_owned()),
                "failure" => failure = is_present(value).then_some(value),
                "ending" => ending = !matches!(value.get(), "false" | "null" | "0"),
                _ => {}
            }
        }
        let outcome = match failure {
            None => Ok(result.unwrap_or_else(|| RawValue::NULL.to_owned())),
            Some(failure) => {
                let text = text_of(failure).unwrap_or_else(|| failure.get().to_owned());
                // The caller has its answer, whatever it was meant to be.
                Err(serde_json::from_str(&text).unwrap_or_else(|_| {
                    RemoteFailure::invalid_reply("the failure in the reply is not as it must be")
                }))
            }
        };
        Ok(Self {
            message_id,
            outcome,
            ending,
        })
    }

    fn with_non_finite_numbers(self) -> Self {
        let failure =
            RemoteFailure::invalid_reply("the reply has NaN or Infinity, which JSON has not");
        Self {
            outcome: self.outcome.and(Err(failure)),
            ..self
        }
    }

    /// Upstream does not drop repeated replies: a second one finds nobody waiting.
    fn unique_id(&self) -> Option<&str> {
        None
    }
}

/// The body of the reply that ends a call (amqpdriver.py: `AMQPIncomingMessage._send_reply`).
pub fn encode_reply(
    message_id: &RawValue,
    unique_id: &str,
    outcome: &Result<Json, Failure>,
) -> Vec<u8> {
    let mut message = ObjectWriter::default();
    match outcome {
        Ok(result) => {
            message.raw("result", result.get());
            message.raw("failure", "null");
        }
        Err(failure) => {
            message.raw("result", "null");
            message.text("failure", &failure.to_json());
        }
    }
    message.raw("ending", "true");
    message.raw("_msg_id", message_id.get());
    message.text("_unique_id", unique_id);
    seal(&message.finish())
}

/// The body that tells a caller with a call monitor that its call is being worked on
/// (amqpdriver.py: `AMQPIncomingMessage.heartbeat`).
pub fn encode_heartbeat(message_id: &RawValue, unique_id: &str) -> Vec<u8> {
    let mut message = ObjectWriter::default();
    message.raw("result", "null");
    message.raw("failure", "null");
    message.raw("ending", "false");
    message.raw("_msg_id", message_id.get());
    message.text("_unique_id", unique_id);
    seal(&message.finish())
}

/// An object's entries in order, each value as the text it came as.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Vec::new();
        deserializer.deserialize_any(Entries(|key, value| fields.push((key, value))))?;
        Ok(Self(fields))
    }
}

/// The two keys of an envelope, if they are there; other keys are passed over.
#[derive(Default)]
struct Outer<'a> {
    version: Option<&'a RawValue>,
    message: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Outer<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut outer = Self::default();
        deserializer.deserialize_any(Entries(|key: Cow<'de, str>, value| match key.as_ref() {
            VERSION_KEY => outer.version = Some(value),
            MESSAGE_KEY => outer.message = Some(value),
            _ => {}
        }))?;
        Ok(outer)
    }
}

/// Visits an object entry by entry. An empty list is an empty object, as it is to upstream,
/// where both are just false.
struct Entries<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue)> Visitor<'de> for Entries<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            (self.0)(key, map.next_value()?);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        match list.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(serde::de::Error::invalid_type(
                serde::de::Unexpected::Seq,
                &self,
            )),
        }
    }
}

/// A key, borrowed from the text where it holds no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The entries as one object; the last of equal keys wins, as in Python.
fn object(entries: &[(Cow<'_, str>, &RawValue)]) -> Json {
    let last: HashMap<&str, usize> = entries
        .iter()
        .enumerate()
        .map(|(index, (key, _))| (&**key, index))
        .collect();
    let mut object = ObjectWriter::default();
    for (index, (key, value)) in entries.iter().enumerate() {
        if last.get(&**key) == Some(&index) {
            object.raw(key, value.get());
        }
    }
    RawValue::from_string(object.finish()).expect("made of valid parts")
}

fn is_queue_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
}

fn text_of(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Whether Python takes the value for true, of those that can stand here.
fn is_present(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "\"\"" | "0" | "false" | "[]" | "{}")
}

/// Half of what `int()` of Python makes of a caller's `_timeout`, if that is a second or more
/// (rpc/dispatcher.py: `_watchdog`).
fn heartbeat_interval(value: &RawValue) -> Option<Duration> {
    let seconds: i64 = match text_of(value) {
        Some(text) => text.trim().replace('_', "").parse().ok()?,
        // A fraction is cut off, and so is what no clock can count.
        None => value.get().parse::<f64>().ok()? as i64,
    };
    let every = Duration::from_secs(u64::try_from(seconds).ok()?) / 2;
    (every >= Duration::from_secs(1)).then_some(every)
}

fn namespace(value: &RawValue) -> Namespace {
    match text_of(value) {
        Some(name) => Namespace::Named(name),
        None if value.get() == "null" => Namespace::Null,
        None => Namespace::NotText,
    }
}

fn version(value: &RawValue) -> RequestedVersion {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            text_of(value).map_or(RequestedVersion::NotText("str"), RequestedVersion::Text)
        }
        Some(b'n') => RequestedVersion::Null,
        Some(b't' | b'f') => RequestedVersion::NotText("bool"),
        Some(b'{') => RequestedVersion::NotText("dict"),
        Some(b'[') => RequestedVersion::NotText("list"),
        _ if text.contains(['.', 'e', 'E']) => RequestedVersion::NotText("float"),
        _ => RequestedVersion::NotText("int"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn enveloped(message: &str) -> Vec<u8> {
        seal(message)
    }

    #[track_caller]
    fn request(message: &str) -> Request {
        decode(&enveloped(message)).expect("a request")
    }

    #[track_caller]
    fn check_rejected(body: &[u8]) {
        let body_text = String::from_utf8_lossy(body).into_owned();
        assert!(decode::<Request>(body).is_err(), "accepted: {body_text}");
    }

    #[test]
    fn every_rejected_body_of_upstream_is_rejected() {
        for version in [
            "\"2.1\"",
            "\"2.0.1\"",
            "\"1.9\"",
            "\"3.0\"",
            "\"2\"",
            "2.0",
            "null",
        ] {
            check_rejected(
                format!(r#"{{"oslo.version": {version}, "oslo.message": "{{}}"}}"#).as_bytes(),
            );
        }
        for inner in ["nonsense", "[1]", "\\\"text\\\"", "5", "null"] {
            check_rejected(
                format!(r#"{{"oslo.version": "2.0", "oslo.message": "{inner}"}}"#).as_bytes(),
            );
        }
        check_rejected(br#"{"oslo.version": "2.0", "oslo.message": {"method": "m"}}"#);
        for outer in [
            "[1]",
            "\"text\"",
            "5",
            "null",
            "nonsense",
            "\u{feff}{}",
            "{} {}",
        ] {
            check_rejected(outer.as_bytes());
        }
        check_rejected(b"{\"method\": \"\xff\"}");
    }

    #[test]
    fn envelope_versions_that_upstream_reads_are_read() {
        for version in ["2.0", "2.0.0", "2.-1"] {
            let body = format!(
                r#"{{"extra": 1, "oslo.version": "{version}", "oslo.message": "{{\"method\": \"m\"}}"}}"#
            );
            let request: Request = decode(body.as_bytes()).expect("a request");
            assert_eq!(request.method.as_deref(), Some("m"), "{version}");
        }
    }

    #[test]
    fn an_object_without_an_envelope_is_the_message_itself() {
        let request: Request = decode(br#"{"method": "m", "oslo.version": "2.0"}"#).expect("one");
        assert_eq!(request.method.as_deref(), Some("m"));
    }

    #[test]
    fn an_empty_body_is_an_empty_message() {
        for body in [b"".as_slice(), b"[]", b"{}"] {
            let request: Request = decode(body).expect("accepted");
            assert_eq!(request.method, None);
            assert!(request.reply_to.is_none());
        }
    }

    #[test]
    fn values_pass_as_the_text_they_came_as() {
        let request =
            request(r#"{"method": "m", "args": {"b": 1.50, "a": "\ud83d\ude00 é", "b": 2}}"#);
        assert_eq!(
            request.args.expect("an object").get(),
            r#"{"b": 1.50, "a": "\ud83d\ude00 é", "b": 2}"#
        );
    }

    #[test]
    fn the_context_has_every_entry_but_those_of_the_transport() {
        let request = request(
            r#"{"_context_user": "u", "_context_roles": ["r"], "_context_msg_id": 1, "_context_reply_q": 2,
                "_context_client_timeout": 3, "_context_user": "v", "_context_": 0, "other": 9}"#,
        );
        assert_eq!(
            request.context.get(),
            r#"{"roles": ["r"], "user": "v", "": 0}"#
        );
    }

    #[test]
    fn a_message_id_makes_a_call_only_with_a_queue() {
        let reply_to = |message: &str| request(message).reply_to;
        assert!(reply_to(r#"{"_reply_q": "q"}"#).is_none());
        for id in ["null", "\"\""] {
            assert!(reply_to(&format!(r#"{{"_msg_id": {id}, "_reply_q": "q"}}"#)).is_none());
        }
        assert!(reply_to(r#"{"_msg_id": "1"}"#).is_none());
        assert!(reply_to(r#"{"_msg_id": "1", "_reply_q": ""}"#).is_none());
        let long = "q".repeat(MAX_NAME_BYTES + 1);
        assert!(reply_to(&format!(r#"{{"_msg_id": "1", "_reply_q": "{long}"}}"#)).is_none());
        let odd = reply_to(r#"{"_msg_id": 17.5, "_reply_q": "q"}"#).expect("a call");
        assert_eq!((odd.queue.as_str(), odd.message_id.get()), ("q", "17.5"));
    }

    #[test]
    fn missing_and_null_versions_differ() {
        assert_eq!(request("{}").version, RequestedVersion::Text("1.0".into()));
        assert_eq!(
            request(r#"{"version": null}"#).version,
            RequestedVersion::Null
        );
        for (json, kind) in [
            ("1.0", "float"),
            ("1", "int"),
            ("true", "bool"),
            ("{}", "dict"),
            ("[]", "list"),
        ] {
            assert_eq!(
                request(&format!(r#"{{"version": {json}}}"#)).version,
                RequestedVersion::NotText(kind)
            );
        }
    }

    #[test]
    fn a_call_monitor_is_read_as_python_reads_it() {
        let every = |json: &str| {
            let request = request(&format!(r#"{{"_timeout": {json}}}"#));
            request.heartbeat_every.map(|every| every.as_millis())
        };
        assert_eq!(every("4"), Some(2000));
        assert_eq!(every("2.9"), Some(1000));
        assert_eq!(every("\"2\""), Some(1000));
        assert_eq!(every("3"), Some(1500));
        for nothing in [
            "null", "1", "0.5", "-4", "\"soon\"", "true", "[4]", "0", "-1e300",
        ] {
            assert_eq!(every(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn numbers_that_json_has_not_cost_the_arguments_and_nothing_else() {
        let message = r#"{"method": "m", "args": {"a": NaN}, "_msg_id": "1", "_reply_q": "q"}"#;
        let plain: Request = decode(message.as_bytes()).expect("read");
        for request in [plain, request(message)] {
            assert_eq!(request.args.expect_err("refused"), BadArguments::NotFinite);
            assert_eq!(request.reply_to.expect("a call").queue, "q");
        }
        let reply =
            enveloped(r#"{"result": -Infinity, "failure": null, "ending": true, "_msg_id": "1"}"#);
        let reply: Reply = decode(&reply).expect("read");
        assert_eq!(reply.outcome.expect_err("a failure").class, "InvalidReply");
    }

    #[test]
    fn a_compressed_body_is_opened_and_an_odd_content_type_is_not() {
        let json = Some("application/json");
        let packed = Codec::Gzip.compress(b"{}");
        let opened = open(&packed, json, Some("application/x-gzip"));
        assert_eq!(opened.expect("opened").as_ref(), b"{}");
        assert!(open(b"{}", json, Some("application/x-gzip")).is_err());
        assert!(open(b"{}", json, Some("application/zstd")).is_err());
        for content_type in [
            None,
            Some("text/plain"),
            Some("application/json; charset=utf-8"),
        ] {
            assert!(open(b"{}", content_type, None).is_err(), "{content_type:?}");
        }
    }

    #[test]
    fn arguments_are_an_object_or_refused() {
        assert_eq!(request("{}").args.expect("an object").get(), "{}");
        for json in ["null", "[]", "5", "\"{}\""] {
            assert!(
                request(&format!(r#"{{"args": {json}}}"#)).args.is_err(),
                "{json}"
            );
        }
    }

    #[test]
    fn a_reply_has_the_five_keys_of_upstream_in_order() {
        let message_id = RawValue::from_string("\"d4f9\"".into()).expect("JSON");
        let result = Ok(RawValue::from_string("\"new\"".into()).expect("JSON"));
        let body = encode_reply(&message_id, "5aba", &result);
        assert_eq!(
            String::from_utf8(body).expect("UTF-8"),
            r#"{"oslo.version": "2.0", "oslo.message": "{\"result\": \"new\", \"failure\": null, \"ending\": true, \"_msg_id\": \"d4f9\", \"_unique_id\": \"5aba\"}"}"#
        );
    }

    #[test]
    fn a_failure_that_cannot_be_read_is_an_answer_all_the_same() {
        for failure in ["\"no json\"", "5", "{\"class\": 7}"] {
            let message = format!(r#"{{"result": null, "failure": {failure}, "ending": true}}"#);
            let reply: Reply = decode(&enveloped(&message)).expect("read");
            assert_eq!(reply.outcome.expect_err("a failure").class, "InvalidReply");
        }
    }

    #[test]
    fn a_failure_is_a_string_of_json_in_the_reply() {
        let message_id = RawValue::from_string("\"1\"".into()).expect("JSON");
        let body = encode_reply(
            &message_id,
            "2",
            &Err(Failure::builtin("ValueError", "no\"t")),
        );
        let reply: Reply = decode(&body).expect("a reply");
        let failure = reply.outcome.expect_err("a failure");
        assert_eq!(failure.class, "ValueError");
        assert_eq!(failure.module, "builtins");
        assert_eq!(failure.message, "no\"t");
        assert!(reply.ending);
    }

    #[test]
    fn an_outgoing_request_is_read_back_as_it_was_meant() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let body = OutgoingRequest {
            namespace: None,
            version: Some("1.4"),
            method: "report_state",
            args: &raw(r#"{"time": "now"}"#),
            context: &raw(r#"{"user": null}"#),
            trace: &[("user".to_owned(), "\"v".to_owned())],
            reply_to: Some(ReplyTo {
                queue: "reply_1",
                message_id: "m",
            }),
            unique_id: "u",
        }
        .encode()
        .expect("a body");
        let request: Request = decode(&body).expect("a request");
        assert_eq!(request.namespace, Namespace::Null);
        assert_eq!(request.version, RequestedVersion::Text("1.4".into()));
        assert_eq!(request.context.get(), r#"{"user": "\"v"}"#);
        assert_eq!(request.reply_to.expect("a call").queue, "reply_1");
        assert_eq!(request.unique_id.as_deref(), Some("u"));
    }

    /// Text that is JSON in places.
    fn nearly_json() -> impl Strategy<Value = String> {
        let pieces = [
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\\",
            "\\\"",
            "\\u00e9",
            "\\ud83d",
            "é",
            " ",
            "\n",
            "\u{feff}",
            "null",
            "true",
            "0",
            "-1",
            "1e999",
            "1.50",
            "NaN",
            "-Infinity",
            "Infinity",
            "-",
            "N",
            "I",
            "\"oslo.version\": \"2.0\", ",
            "\"oslo.message\": ",
            "\"method\": ",
            "\"args\": ",
            "\"_msg_id\": ",
            "\"_reply_q\": ",
            "\"_timeout\": ",
            "\"version\": ",
            "\"_context_a\": ",
            "\"result\": ",
            "\"failure\": ",
            "\"ending\": ",
            "\"{}\"",
            "\"{\\\"a\\\": NaN}\"",
        ];
        vec(proptest::sample::select(pieces.to_vec()), 0..30).prop_map(|pieces| pieces.concat())
    }

    fn any_body() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<Vec<u8>>(),
            nearly_json().prop_map(String::into_bytes),
            nearly_json().prop_map(|text| format!("{{{text}}}").into_bytes()),
            nearly_json().prop_map(|text| seal(&format!("{{{text}}}"))),
        ]
    }

    /// White space, as it may stand between the parts of JSON.
    fn any_space() -> impl Strategy<Value = String> {
        "[ \t\r\n]{0,2}"
    }

    /// A string as one of the many texts that stand for it.
    fn any_string() -> impl Strategy<Value = String> {
        let character = prop_oneof![
            any::<char>().prop_map(|c| {
                let quoted = json::quote(&c.to_string());
                quoted[1..quoted.len() - 1].to_owned()
            }),
            Just("\\\"".to_owned()),
            any::<u8>().prop_map(|code| format!("\\u00{code:02X}")),
            Just("\\ud83d\\uDE00".to_owned()),
            Just("\\/".to_owned()),
        ];
        vec(character, 0..8).prop_map(|text| {
            let text = text.concat();
            format!("\"{text}\"")
        })
    }

    fn any_object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        let entry = (
            any_space(),
            any_string(),
            any_space(),
            any_space(),
            value,
            any_space(),
        );
        let entry = entry.prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
        vec(entry, 0..5).prop_map(|entries| format!("{{{}}}", entries.join(",")))
    }

    fn any_json_object() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
            any_string(),
        ];
        let value = leaf.prop_recursive(4, 20, 5, |inner| {
            prop_oneof![
                vec((any_space(), inner.clone(), any_space()), 0..5).prop_map(|items| {
                    let items: Vec<_> = items.into_iter().map(|(a, b, c)| a + &b + &c).collect();
                    format!("[{}]", items.join(","))
                }),
                any_object(inner),
            ]
        });
        any_object(value)
    }

    proptest! {
        #[test]
        fn no_body_is_too_odd_to_be_read_or_rejected(body in any_body()) {
            let _ = decode::<Request>(&body);
            let _ = decode::<Reply>(&body);
        }

        #[test]
        fn arguments_travel_as_the_text_they_are(
            args in any_json_object(),
            method in any::<String>(),
            version in any::<Option<String>>(),
        ) {
            let raw = RawValue::from_string(args.clone()).expect("JSON");
            let outgoing = OutgoingRequest {
                namespace: version.as_deref(),
                version: version.as_deref(),
                method: &method,
                args: &raw,
                context: &json::empty_object(),
                trace: &[],
                reply_to: Some(ReplyTo {
                    queue: "reply_1",
                    message_id: "m",
                }),
                unique_id: "u",
            };
            let request: Request = decode(&outgoing.encode().expect("a body")).expect("a request");
            let read = request.args.expect("an object");
            prop_assert_eq!(read.get(), args);
            prop_assert_eq!(request.method, Some(method));
            let (namespace, expected) = match version {
                Some(text) => (Namespace::Named(text.clone()), text),
                None => (Namespace::Null, "1.0".to_owned()),
            };
            prop_assert_eq!(request.namespace, namespace);
            prop_assert_eq!(request.version, RequestedVersion::Text(expected));
        }
    }
}
