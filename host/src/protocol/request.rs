//! Calls and casts: what arrives, and what a client sends (rpc/client.py: `_make_message`, amqp.py:
//! `unpack_context`).

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;

use super::envelope::{Fields, Message, is_present, object, seal, text_of};
use super::json::{self, Json, ObjectWriter};
use super::target::RequestedVersion;

/// The longest name AMQP can carry (a short string).
const MAX_NAME_BYTES: usize = 255;
const CONTEXT_PREFIX: &str = "_context_";
/// Context entries that the transport owns: they never reach an endpoint (`amqp.py:
/// unpack_context` overwrites them).
const TRANSPORT_CONTEXT: [&str; 3] = ["msg_id", "reply_q", "client_timeout"];
/// Our own context entry: how many plugins, one calling the next, led to this message. Whoever passes
/// a context on passes it on as well, so it also counts chains through other services.
const DEPTH: &str = "endpointd_depth";

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
    /// How many plugins, one calling the next, led to it.
    pub depth: u32,
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
            depth: 0,
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
                    let entry = other.strip_prefix(CONTEXT_PREFIX);
                    match entry.filter(|entry| !TRANSPORT_CONTEXT.contains(entry)) {
                        // What is no such number was not written by us, and counts nothing.
                        Some(DEPTH) => request.depth = value.get().parse().unwrap_or(0),
                        Some(entry) => context.push((Cow::Owned(entry.to_owned()), value)),
                        None => {}
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
    /// How many plugins, one calling the next, led to it.
    pub depth: u32,
    /// `None` for a cast.
    pub reply_to: Option<ReplyTo<'a>>,
    pub unique_id: &'a str,
}

/// Where the reply to a call is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct ReplyTo<'a> {
    pub queue: &'a str,
    pub message_id: &'a str,
    /// The longest that the caller waits for a sign that its call is being worked on.
    pub monitor: Option<Duration>,
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
        if let Some(reply_to) = &self.reply_to {
            message.text("_msg_id", reply_to.message_id);
            message.text("_reply_q", reply_to.queue);
            let monitor = reply_to
                .monitor
                .map(|monitor| monitor.as_secs_f64().to_string());
            message.raw("_timeout", monitor.as_deref().unwrap_or("null"));
        }
        message.text("_unique_id", self.unique_id);
        let is_ours = |key: &str| key == DEPTH || self.trace.iter().any(|(name, _)| name == key);
        for (key, value) in context.0 {
            if !is_ours(&key) {
                message.raw(&format!("{CONTEXT_PREFIX}{key}"), value.get());
            }
        }
        if self.depth > 0 {
            message.raw(&format!("{CONTEXT_PREFIX}{DEPTH}"), &self.depth.to_string());
        }
        for (key, text) in self.trace {
            message.text(&format!("{CONTEXT_PREFIX}{key}"), text);
        }
        Ok(seal(&message.finish()))
    }
}
/// A request context as its receiver gets it: what the transport owns does not arrive.
pub fn received_context(context: &RawValue) -> serde_json::Result<Json> {
    let fields: Fields<'_> = serde_json::from_str(context.get())?;
    let is_own = |key: &str| TRANSPORT_CONTEXT.contains(&key) || key == DEPTH;
    let entries = fields.0.into_iter().filter(|(key, _)| !is_own(key));
    Ok(object(&entries.collect::<Vec<_>>()))
}

fn is_queue_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
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

    use super::super::envelope::decode;
    use super::*;

    #[track_caller]
    fn request(message: &str) -> Request {
        decode(&seal(message)).expect("a request")
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
    fn an_outgoing_request_is_read_back_as_it_was_meant() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let body = OutgoingRequest {
            namespace: None,
            version: Some("1.4"),
            method: "report_state",
            args: &raw(r#"{"time": "now"}"#),
            context: &raw(r#"{"user": null, "endpointd_depth": 1}"#),
            trace: &[("user".to_owned(), "\"v".to_owned())],
            depth: 3,
            reply_to: Some(ReplyTo {
                queue: "reply_1",
                message_id: "m",
                monitor: Some(Duration::from_secs(4)),
            }),
            unique_id: "u",
        }
        .encode()
        .expect("a body");
        let request: Request = decode(&body).expect("a request");
        assert_eq!(request.namespace, Namespace::Null);
        assert_eq!(request.version, RequestedVersion::Text("1.4".into()));
        assert_eq!(request.context.get(), r#"{"user": "\"v"}"#);
        assert_eq!(request.depth, 3);
        assert_eq!(request.heartbeat_every, Some(Duration::from_secs(2)));
        assert_eq!(request.reply_to.expect("a call").queue, "reply_1");
        assert_eq!(request.unique_id.as_deref(), Some("u"));
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
                depth: 0,
                reply_to: Some(ReplyTo {
                    queue: "reply_1",
                    message_id: "m",
                    monitor: None,
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
