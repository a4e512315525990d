//! Any bytes as the body of a message: read or rejected, and what was read can be sent on.

#![no_main]

use endpointd_fuzz::protocol::envelope::decode;
use endpointd_fuzz::protocol::json;
use endpointd_fuzz::protocol::reply::{Reply, encode_reply};
use endpointd_fuzz::protocol::request::{OutgoingRequest, ReplyTo, Request};
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

/// What goes on from here is one whole JSON value.
fn is_sound(value: &RawValue) {
    json::checked(value.get().to_owned()).expect("JSON");
}

fuzz_target!(|body: &[u8]| {
    if let Ok(reply) = decode::<Reply>(body)
        && let Ok(result) = reply.outcome
    {
        is_sound(&result);
    }
    let Ok(request) = decode::<Request>(body) else {
        return;
    };
    is_sound(&request.context);
    if let Some(reply_to) = &request.reply_to {
        assert!((1..=255).contains(&reply_to.queue.len()));
        let result = Ok(json::empty_object());
        let reply = encode_reply(&reply_to.message_id, "u", &result);
        decode::<Reply>(&reply).expect("our own reply");
    }
    let Ok(args) = &request.args else {
        return;
    };
    is_sound(args);
    let outgoing = OutgoingRequest {
        namespace: None,
        version: None,
        method: request.method.as_deref().unwrap_or_default(),
        args,
        context: &request.context,
        trace: &[],
        depth: request.depth,
        reply_to: Some(ReplyTo {
            queue: "reply_1",
            message_id: "m",
            monitor: None,
        }),
        unique_id: "u",
    };
    let encoded = outgoing.encode().expect("an object is its context");
    let again: Request = decode(&encoded).expect("our own request");
    assert_eq!(again.args.expect("an object").get(), args.get());
    assert_eq!(again.context.get(), request.context.get());
    assert_eq!(again.depth, request.depth);
});
