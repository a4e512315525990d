//! From an open socket to an open connection (specification, 2.2.4): who we are, what both sides agree on, and
//! which virtual host it is for.

use amq_protocol::auth::{Credentials, SASLMechanism};
use amq_protocol::frame::{AMQPFrame, ProtocolVersion};
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::connection::{
    AMQPMethod, CloseOk, Open, SecureOk, Start, StartOk, Tune, TuneOk,
};
use amq_protocol::types::{AMQPValue, FieldTable, LongString};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::error::{Error, Refusal, short};
use super::frame::{Payload, parse, put, put_method};

/// What no side may exceed before a size was agreed on, and what is asked for of a broker that sets no limit.
const FIRST_FRAMES: u32 = 128 * 1024;
/// A smaller size of frames is not allowed (specification, 1.1: `frame-min-size`).
const LEAST_FRAME: u32 = 4096;
/// What a broker can do that this client knows how to deal with (impl_rabbit.py has the first three).
const CAPABILITIES: [&str; 5] = [
    "authentication_failure_close",
    "connection.blocked",
    "consumer_cancel_notify",
    "basic.nack",
    "publisher_confirms",
];

/// Who logs in, and to what.
pub(crate) struct Login<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) method: SASLMechanism,
    pub(crate) virtual_host: &'a str,
    /// In seconds; 0 wants none, whatever the broker proposes.
    pub(crate) heartbeat: u16,
    /// As the broker lists the connection.
    pub(crate) name: String,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Tuned {
    pub(super) channels: u16,
    /// In bytes, with what is around the payload.
    pub(super) largest_frame: u32,
    /// In seconds; 0 is none.
    pub(super) heartbeat: u16,
}

impl Tuned {
    /// The broker's limits, and the shorter heartbeat (py-amqp's connection.py: `_on_tune`).
    fn answer(proposed: &Tune, heartbeat: u16) -> Self {
        // Where the broker has 0, it sets no limit.
        let limit = |proposed: u16| if proposed == 0 { u16::MAX } else { proposed };
        let largest_frame = match proposed.frame_max {
            0 => FIRST_FRAMES,
            limit => limit.max(LEAST_FRAME),
        };
        Self {
            channels: limit(proposed.channel_max),
            largest_frame,
            heartbeat: heartbeat.min(limit(proposed.heartbeat)),
        }
    }
}

/// Goes through it, and returns what was agreed on and what was read after that.
pub(super) async fn shake_hands<S>(
    stream: &mut S,
    login: &Login<'_>,
) -> Result<(Tuned, Vec<u8>), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut handshake = Handshake {
        stream,
        read: Vec::new(),
    };
    let version = ProtocolVersion::amqp_0_9_1();
    let mut header = Vec::new();
    put(&mut header, &AMQPFrame::ProtocolHeader(version));
    handshake.write(&header).await?;
    let credentials = Credentials::new(login.user.into(), login.password.into());
    let tuned = loop {
        match handshake.receive().await? {
            AMQPMethod::Start(start) => {
                let answer = start_ok(&start, login, &credentials)?;
                handshake.send([AMQPMethod::StartOk(answer)]).await?;
            }
            AMQPMethod::Secure(_) if login.method == SASLMechanism::RabbitCrDemo => {
                let response = credentials.rabbit_cr_demo_answer();
                let answer = AMQPMethod::SecureOk(SecureOk { response });
                handshake.send([answer]).await?;
            }
            AMQPMethod::Tune(tune) => break Tuned::answer(&tune, login.heartbeat),
            other => return Err(handshake.refused(&other).await),
        }
    };
    let virtual_host = short(login.virtual_host)?;
    let answers = [
        AMQPMethod::TuneOk(TuneOk {
            channel_max: tuned.channels,
            frame_max: tuned.largest_frame,
            heartbeat: tuned.heartbeat,
        }),
        AMQPMethod::Open(Open { virtual_host }),
    ];
    handshake.send(answers).await?;
    match handshake.receive().await? {
        AMQPMethod::OpenOk(_) => Ok((tuned, handshake.read)),
        other => Err(handshake.refused(&other).await),
    }
}

fn start_ok(start: &Start, login: &Login<'_>, as_whom: &Credentials) -> Result<StartOk, Error> {
    let wanted = login.method.name();
    let offered = start.mechanisms.to_string();
    if !offered.split_ascii_whitespace().any(|one| one == wanted) {
        let wanted = wanted.to_owned();
        return Err(Error::LoginMethod { wanted, offered });
    }
    let mut capabilities = FieldTable::default();
    for capability in CAPABILITIES {
        capabilities.insert(capability.into(), AMQPValue::Boolean(true));
    }
    let mut client_properties = FieldTable::default();
    let texts = [
        ("product", env!("CARGO_PKG_NAME")),
        ("version", env!("CARGO_PKG_VERSION")),
        ("connection_name", &login.name),
    ];
    for (key, text) in texts {
        client_properties.insert(key.into(), AMQPValue::LongString(LongString::from(text)));
    }
    client_properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    Ok(StartOk {
        client_properties,
        mechanism: wanted.into(),
        response: as_whom.sasl_auth_string(login.method),
        locale: "en_US".into(),
    })
}

fn refusal(method: &AMQPMethod) -> Error {
    match method {
        AMQPMethod::Close(close) => Error::Connection(Refusal {
            code: close.reply_code,
            text: close.reply_text.to_string(),
        }),
        _ => Error::Garbled("a method that has no place in the handshake".to_owned()),
    }
}

struct Handshake<'a, S> {
    stream: &'a mut S,
    /// What was read and not yet looked at.
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Handshake<'_, S> {
    async fn send(&mut self, methods: impl IntoIterator<Item = AMQPMethod>) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for method in methods {
            put_method(&mut bytes, 0, AMQPClass::Connection(method));
        }
        self.write(&bytes).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let Err(error) = written.await else {
            return Ok(());
        };
        // Who hangs up says why before that. With TLS 1.3, a broker refuses a client's certificate in this way.
        match Box::pin(self.receive()).await {
            Err(Error::HungUp) => Err(error.into()),
            Err(said) => Err(said),
            Ok(method) => Err(refusal(&method)),
        }
    }

    /// What a method means that does not go on with the handshake.
    async fn refused(&mut self, method: &AMQPMethod) -> Error {
        if matches!(method, AMQPMethod::Close(_)) {
            // It makes no difference if it cannot be sent.
            let _ = self.send([AMQPMethod::CloseOk(CloseOk {})]).await;
        }
        refusal(method)
    }

    async fn receive(&mut self) -> Result<AMQPMethod, Error> {
        loop {
            if self.read.first() == Some(&b'A') {
                let problem = "it speaks another version";
                return Err(Error::Garbled(problem.to_owned()));
            }
            if let Some(frame) = parse(&self.read, FIRST_FRAMES as usize)? {
                let bytes = frame.bytes;
                let method = match frame.payload {
                    Payload::Method(AMQPClass::Connection(method)) if frame.channel == 0 => method,
                    Payload::Heartbeat => {
                        self.read.drain(..bytes);
                        continue;
                    }
                    _ => return Err(Error::Garbled("a frame before it was asked".to_owned())),
                };
                self.read.drain(..bytes);
                return Ok(method);
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(Error::HungUp);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tune(channel_max: u16, frame_max: u32, heartbeat: u16) -> Tune {
        Tune {
            channel_max,
            frame_max,
            heartbeat,
        }
    }

    #[test]
    fn limits_are_the_brokers_and_the_heartbeat_is_the_shorter_one() {
        let answer = |proposed: Tune, heartbeat| {
            let tuned = Tuned::answer(&proposed, heartbeat);
            (tuned.channels, tuned.largest_frame, tuned.heartbeat)
        };
        assert_eq!(answer(tune(2047, 131_072, 60), 30), (2047, 131_072, 30));
        assert_eq!(answer(tune(2047, 131_072, 10), 30), (2047, 131_072, 10));
        assert_eq!(answer(tune(2047, 131_072, 60), 0), (2047, 131_072, 0));
        assert_eq!(answer(tune(0, 0, 0), 30), (u16::MAX, 128 * 1024, 30));
        assert_eq!(answer(tune(1, 1, 0), 0), (1, 4096, 0));
    }
}
