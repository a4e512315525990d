//! Frames as bytes (specification, 4.2.3): type, channel, size, payload, and an octet that ends them.

use std::mem;

use amq_protocol::frame::parsing::parse_content_header;
use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, ParserResult, gen_frame};
use amq_protocol::protocol::constants::{
    FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_HEARTBEAT, FRAME_METHOD,
};
use amq_protocol::protocol::{AMQPClass, parse_class};

use super::error::Error;

/// Type, channel and size.
const PREFIX: usize = 7;
/// What a frame has besides its payload.
pub(super) const AROUND: usize = PREFIX + 1;

/// Room for what is read, at first.
const BUFFER: usize = 64 * 1024;

/// A frame that was read.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) channel: u16,
    pub(super) payload: Payload<'a>,
    /// All of it.
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) enum Payload<'a> {
    Method(AMQPClass),
    /// Of a message whose body follows.
    Header(AMQPContentHeader),
    Body(&'a [u8]),
    Heartbeat,
}

/// The frame that `read` begins with; `None` while it is not all there. No frame may have more than `largest`
/// bytes.
pub(super) fn parse(read: &[u8], largest: usize) -> Result<Option<Frame<'_>>, Error> {
    let Some(([kind, channel @ .., s0, s1, s2, s3], rest)) = read.split_first_chunk::<PREFIX>()
    else {
        return Ok(None);
    };
    let size = u32::from_be_bytes([*s0, *s1, *s2, *s3]) as usize;
    if size.saturating_add(AROUND) > largest {
        let problem = format!("a frame of {size} bytes, where {largest} were agreed on");
        return Err(Error::Garbled(problem));
    }
    let Some((payload, [end, ..])) = rest.split_at_checked(size) else {
        return Ok(None);
    };
    if *end != FRAME_END {
        return Err(Error::Garbled("a frame without an end".to_owned()));
    }
    let payload = match *kind {
        FRAME_METHOD => Payload::Method(whole(parse_class(payload), "method")?),
        FRAME_HEADER => Payload::Header(whole(parse_content_header(payload), "header")?),
        FRAME_BODY => Payload::Body(payload),
        FRAME_HEARTBEAT => Payload::Heartbeat,
        kind => return Err(Error::Garbled(format!("a frame of type {kind}"))),
    };
    Ok(Some(Frame {
        channel: u16::from_be_bytes(*channel),
        payload,
        bytes: size + AROUND,
    }))
}

/// What was parsed, if nothing is left over.
fn whole<T>(parsed: ParserResult<&[u8], T>, what: &str) -> Result<T, Error> {
    match parsed {
        Ok(([], value)) => Ok(value),
        Ok((left, _)) => Err(format!("{} bytes after a {what}", left.len())),
        // It may hold what was sent.
        Err(_) => Err(format!("a {what} that cannot be read")),
    }
    .map_err(Error::Garbled)
}

/// What was read and is not a whole frame yet.
pub(super) struct Unparsed {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Unparsed {
    pub(super) fn new(read: Vec<u8>) -> Self {
        let end = read.len();
        let mut buffer = read;
        buffer.resize(end.max(BUFFER), 0);
        Self {
            buffer,
            start: 0,
            end,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Where the next bytes are to go, some at least.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.buffer.len() {
                self.buffer.resize(2 * self.end, 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// So many came.
    pub(super) fn came(&mut self, bytes: usize) {
        self.end += bytes;
    }

    /// So many need not be kept.
    pub(super) fn is_done(&mut self, bytes: usize) {
        self.start += bytes;
    }
}

/// Appends a frame.
pub(super) fn put(to: &mut Vec<u8>, frame: &AMQPFrame) {
    let written = gen_frame(frame)(mem::take(to).into());
    let context = written.expect("memory takes what is written to it");
    *to = context.into_inner().0;
}

/// Appends a method.
pub(super) fn put_method(to: &mut Vec<u8>, channel: u16, method: AMQPClass) {
    put(to, &AMQPFrame::Method(channel, method));
}

/// Appends a body, in as many frames as it takes where none may have more than `largest` bytes.
pub(super) fn put_body(to: &mut Vec<u8>, channel: u16, body: &[u8], largest: usize) {
    let frames = body.chunks(largest - AROUND);
    to.reserve(body.len() + frames.len() * AROUND);
    for payload in frames {
        to.push(FRAME_BODY);
        to.extend(channel.to_be_bytes());
        let size = u32::try_from(payload.len()).expect("the largest frame's size has four bytes");
        to.extend(size.to_be_bytes());
        to.extend(payload);
        to.push(FRAME_END);
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::protocol::BasicProperties;
    use amq_protocol::protocol::basic::{self, Deliver};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn anything_is_parsed_or_refused(kind in 1..9u8, payload: Vec<u8>, class in 0..100u8, method in 0..60u8) {
            let mut read = vec![kind, 0, 1];
            let size = u32::try_from(payload.len() + 4).expect("short");
            read.extend(size.to_be_bytes());
            read.extend([0, class, 0, method]);
            read.extend(payload);
            read.push(FRAME_END);
            let frame = parse(&read, usize::MAX);
            prop_assert!(!matches!(frame, Ok(None)), "it is whole");
        }
    }

    fn deliver() -> AMQPClass {
        AMQPClass::Basic(basic::AMQPMethod::Deliver(Deliver {
            consumer_tag: "1".into(),
            delivery_tag: 7,
            redelivered: false,
            exchange: "neutron".into(),
            routing_key: "q-plugin".into(),
        }))
    }

    #[test]
    fn what_is_put_is_parsed_however_it_is_cut() {
        let body: Vec<u8> = (0..100).collect();
        let mut sent = Vec::new();
        put_method(&mut sent, 3, deliver());
        let header = AMQPContentHeader {
            class_id: 60,
            body_size: 100,
            properties: BasicProperties::default().with_expiration("1000".into()),
        };
        put(&mut sent, &AMQPFrame::Header(3, header.clone()));
        put_body(&mut sent, 3, &body, 64 + AROUND);
        put(&mut sent, &AMQPFrame::Heartbeat);
        for end in 0..=sent.len() {
            let mut left = &sent[..end];
            let mut kinds = String::new();
            let mut received: Vec<u8> = Vec::new();
            while let Some(frame) = parse(left, 200).expect("it is AMQP") {
                left = &left[frame.bytes..];
                match frame.payload {
                    Payload::Method(method) => {
                        assert_eq!((frame.channel, method), (3, deliver()));
                        kinds.push('m');
                    }
                    Payload::Header(read) => {
                        assert_eq!(read, header);
                        kinds.push('h');
                    }
                    Payload::Body(part) => {
                        received.extend(part);
                        kinds.push('b');
                    }
                    Payload::Heartbeat => kinds.push('.'),
                }
            }
            assert!("mhbb.".starts_with(&kinds));
            assert_eq!(received, body[..received.len()]);
            assert_eq!(kinds.len() == 5, end == sent.len());
        }
    }

    #[test]
    fn what_is_no_amqp_is_an_error_and_no_panic() {
        let mut good = Vec::new();
        put_method(&mut good, 1, deliver());
        for place in 0..good.len() {
            for value in [0, 1, 2, 8, 65, 127, 255] {
                let mut bad = good.clone();
                bad[place] = value;
                let _ = parse(&bad, 200);
            }
        }
        let error = |bytes: &[u8]| parse(bytes, 200).expect_err("no AMQP").to_string();
        assert!(error(&[1, 0, 0, 255, 255, 255, 255]).contains("where 200 were agreed on"));
        assert!(error(&[1, 0, 0, 0, 0, 0, 0, 206]).ends_with("a method that cannot be read"));
        assert!(error(&[8, 0, 0, 0, 0, 0, 0, 0]).ends_with("a frame without an end"));
        assert!(error(&[9, 0, 0, 0, 0, 0, 0, 206]).ends_with("a frame of type 9"));
    }
}
