//! Replies: results, failures, and the sign that a call is being worked on (amqpdriver.py:
//! `AMQPIncomingMessage`).

use serde_json::value::RawValue;

use super::envelope::{Fields, Message, is_present, seal, text_of};
use super::failure::Failure;
use super::json::{Json, ObjectWriter};

/// A reply as it reached us.
#[derive(Debug)]
pub struct Reply {
    pub message_id: Option<String>,
    pub outcome: Result<Json, Failure>,
    /// False for heartbeats, and for the first half of a reply from before release 4.0.
    pub ending: bool,
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
                Err(Failure::from_json(&text).unwrap_or_else(|_| {
                    invalid_reply("the failure in the reply is not as it must be")
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
        let failure = invalid_reply("the reply has NaN or Infinity, which JSON has not");
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

/// What a caller gets instead of an answer that cannot be read.
fn invalid_reply(problem: &str) -> Failure {
    Failure::internal("InvalidReply", problem)
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
#[cfg(test)]
mod tests {
    use super::super::envelope::decode;
    use super::*;

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
        for failure in ["\"no json\"", "5", "\"[1]\""] {
            let message = format!(r#"{{"result": null, "failure": {failure}, "ending": true}}"#);
            let reply: Reply = decode(&seal(&message)).expect("read");
            assert_eq!(reply.outcome.expect_err("a failure").class, "InvalidReply");
        }
    }

    #[test]
    fn a_result_that_json_has_not_is_a_failure() {
        let reply = r#"{"result": -Infinity, "failure": null, "ending": true, "_msg_id": "1"}"#;
        let reply: Reply = decode(&seal(reply)).expect("read");
        assert_eq!(reply.outcome.expect_err("a failure").class, "InvalidReply");
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
}
