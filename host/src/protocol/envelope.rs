//! Message bodies: bytes to a `Request` or `Reply` and back.
//!
//! Envelope 2.0 holds the message as a string of JSON; without an envelope the body is the
//! message itself, which is version 1.0 (oslo_messaging/_drivers/common.py: `deserialize_msg`).
//! Values pass through as the text they came as: no document tree is built, so nothing that a
//! caller or a guest sent is changed on the way.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::compression::{Codec, CompressionError};
use super::json::{self, Json, ObjectWriter};
use super::target::RequestedVersion;

/// A larger body is rejected unread: it would be copied several times on its way to a guest whose
/// memory it most probably exceeds.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// The same for one that is compressed: a few bytes may claim to be as many.
const MAX_DECOMPRESSED_BYTES: usize = 16 * 1024 * 1024;
const VERSION_KEY: &str = "oslo.version";
const MESSAGE_KEY: &str = "oslo.message";

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
    // An array could be read as one as well, which it is not.
    if text.starts_with('{')
        && let Ok(Plain { version, message }) = serde_json::from_str(text)
        && is_envelope_version(version)
    {
        return read(&message).map_err(EnvelopeError::MessageNotAnObject);
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
pub(super) fn seal(message: &str) -> Vec<u8> {
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

/// What nearly every body is: an envelope of text with each key once, read in one pass. All others are read in two.
#[derive(Deserialize)]
struct Plain<'a> {
    #[serde(rename = "oslo.version", borrow)]
    version: &'a RawValue,
    #[serde(rename = "oslo.message", borrow)]
    message: Cow<'a, str>,
}

/// An object's entries in order, each value as the text it came as.
pub(super) struct Fields<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

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
pub(super) fn object(entries: &[(Cow<'_, str>, &RawValue)]) -> Json {
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

pub(super) fn text_of(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Whether Python takes the value for true, of those that can stand here.
pub(super) fn is_present(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "\"\"" | "0" | "false" | "[]" | "{}")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::reply::Reply;
    use super::super::request::Request;
    use super::*;

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
            r#"["2.0", "{\"method\": \"m\"}"]"#,
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
    fn an_envelope_is_read_the_same_however_it_is_written() {
        let message = r#""{\"method\": \"m\"}""#;
        for body in [
            format!(r#"{{"oslo.version": "2.0", "oslo.message": {message}}}"#),
            format!(r#" {{"oslo.version": "2.0", "oslo.message": {message}}}"#),
            format!(r#"{{"oslo\u002eversion": "2.0", "oslo.m\u0065ssage": {message}}}"#),
            format!(
                r#"{{"oslo.version": "3.0", "oslo.version": "2.0", "oslo.message": {message}}}"#
            ),
            format!(r#"{{"oslo.message": 1, "oslo.version": "2.0", "oslo.message": {message}}}"#),
        ] {
            let request: Request = decode(body.as_bytes()).expect(&body);
            assert_eq!(request.method.as_deref(), Some("m"), "{body}");
        }
        check_rejected(br#"{"oslo.version": "2.0", "oslo.message": "{\"method\": \"\ud83d\"}"}"#);
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
    proptest! {
        #[test]
        fn no_body_is_too_odd_to_be_read_or_rejected(body in any_body()) {
            let _ = decode::<Request>(&body);
            let _ = decode::<Reply>(&body);
        }
    }
}
