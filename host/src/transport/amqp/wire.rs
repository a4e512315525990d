//! AMQP 0-9-1 on one open connection, as far as RPC needs it, in one task that reads and writes.
//!
//! Whoever acknowledges puts the bytes where that task finds them; whoever publishes writes them to the socket where
//! nothing else is under way. What arrives goes straight to whom it is for. So no thread is woken for a request
//! before there is something to compute. Methods and properties are read and written by `amq-protocol`.

mod channel;
mod connection;
mod driver;
mod error;
mod frame;
mod handshake;
mod heartbeat;
mod outgoing;
mod written;

use std::net::TcpStream;

use tokio::io::{AsyncRead, AsyncWrite};

pub(super) use self::channel::{
    Acknowledgement, Arrival, Channel, Confirms, Delivery, Publication,
};
pub(super) use self::connection::Connection;
pub(super) use self::driver::Driver;
pub(super) use self::error::{Error, Refusal, code, short};
pub(super) use self::handshake::Login;
pub(super) use self::written::Written;

/// Opens a connection. It goes on where its driver runs. Where bytes go to a socket as they are, `socket` is that
/// one, which does not block.
pub(super) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    socket: Option<TcpStream>,
    login: &Login<'_>,
) -> Result<(Connection, Driver<S>), Error> {
    let (tuned, read) = handshake::shake_hands(&mut stream, login).await?;
    let connection = Connection::new(tuned, socket);
    let driver = Driver::new(stream, read, tuned.heartbeat, &connection);
    Ok((connection, driver))
}

#[cfg(test)]
mod tests {
    use amq_protocol::auth::SASLMechanism;
    use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
    use amq_protocol::protocol::connection::{self, OpenOk, Start, Tune};
    use amq_protocol::protocol::{AMQPClass, BasicProperties, basic, channel, confirm};
    use amq_protocol::types::FieldTable;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::frame::{Payload, parse, put, put_body, put_method};
    use super::*;

    /// The other side of a connection.
    struct Broker {
        stream: DuplexStream,
        read: Vec<u8>,
    }

    impl Broker {
        async fn receive(&mut self) -> (u16, AMQPClass) {
            loop {
                if let Some(frame) = parse(&self.read, usize::MAX).expect("AMQP") {
                    let (channel, bytes) = (frame.channel, frame.bytes);
                    let method = match frame.payload {
                        Payload::Method(method) => Some(method),
                        _ => None,
                    };
                    self.read.drain(..bytes);
                    match method {
                        Some(method) => return (channel, method),
                        None => continue,
                    }
                }
                let count = self.stream.read_buf(&mut self.read).await;
                assert_ne!(count.expect("open"), 0, "the client hung up");
            }
        }

        async fn send(&mut self, channel: u16, method: AMQPClass) {
            let mut bytes = Vec::new();
            put_method(&mut bytes, channel, method);
            self.stream.write_all(&bytes).await.expect("open");
        }

        /// A method that has a message, with its body in small frames that come byte by byte.
        async fn send_message(&mut self, channel: u16, method: basic::AMQPMethod, body: &[u8]) {
            let mut bytes = Vec::new();
            put_method(&mut bytes, channel, AMQPClass::Basic(method));
            let header = AMQPContentHeader {
                class_id: 60,
                body_size: body.len() as u64,
                properties: BasicProperties::default().with_expiration("7".into()),
            };
            put(&mut bytes, &AMQPFrame::Header(channel, header));
            put_body(&mut bytes, channel, body, 16);
            for byte in bytes {
                self.stream.write_all(&[byte]).await.expect("open");
            }
        }

        async fn shake_hands(&mut self, heartbeat: u16) {
            let mut header = [0; 8];
            self.stream.read_exact(&mut header).await.expect("a header");
            assert_eq!(&header, b"AMQP\0\0\x09\x01");
            let start = connection::AMQPMethod::Start(Start {
                version_major: 0,
                version_minor: 9,
                server_properties: FieldTable::default(),
                mechanisms: "PLAIN AMQPLAIN".into(),
                locales: "en_US".into(),
            });
            self.send(0, AMQPClass::Connection(start)).await;
            let (_, answer) = self.receive().await;
            let AMQPClass::Connection(connection::AMQPMethod::StartOk(answer)) = answer else {
                panic!("{answer:?}");
            };
            assert_eq!(answer.mechanism.as_str(), "PLAIN");
            let tune = connection::AMQPMethod::Tune(Tune {
                channel_max: 2,
                frame_max: 8192,
                heartbeat,
            });
            self.send(0, AMQPClass::Connection(tune)).await;
            self.receive().await;
            self.receive().await;
            let open = connection::AMQPMethod::OpenOk(OpenOk {});
            self.send(0, AMQPClass::Connection(open)).await;
        }

        async fn open_channel(&mut self) -> u16 {
            let (number, open) = self.receive().await;
            assert!(matches!(
                open,
                AMQPClass::Channel(channel::AMQPMethod::Open(_))
            ));
            let done = channel::AMQPMethod::OpenOk(channel::OpenOk {});
            self.send(number, AMQPClass::Channel(done)).await;
            number
        }
    }

    async fn connected() -> (Connection, JoinHandle<Error>, Broker) {
        connected_with(60).await
    }

    async fn connected_with(heartbeat: u16) -> (Connection, JoinHandle<Error>, Broker) {
        let (ours, theirs) = duplex(64 * 1024);
        let mut broker = Broker {
            stream: theirs,
            read: Vec::new(),
        };
        let login = Login {
            user: "guest",
            password: "guest",
            method: SASLMechanism::Plain,
            virtual_host: "/",
            heartbeat: 60,
            name: "test".to_owned(),
        };
        let (opened, ()) = tokio::join!(open(ours, None, &login), broker.shake_hands(heartbeat));
        let (connection, driver) = opened.expect("a connection");
        #[expect(clippy::disallowed_methods, reason = "each test awaits its end")]
        let driver = tokio::spawn(async move { driver.run("the test's").await });
        (connection, driver, broker)
    }

    async fn channel(connection: &Connection, broker: &mut Broker) -> (Channel, u16) {
        let (channel, number) = tokio::join!(connection.channel(), broker.open_channel());
        (channel.expect("a channel"), number)
    }

    fn publication(body: &[u8]) -> Publication<'_> {
        Publication {
            exchange: "",
            key: "q",
            mandatory: true,
            properties: BasicProperties::default(),
            body,
        }
    }

    fn ack(delivery_tag: u64, multiple: bool) -> AMQPClass {
        AMQPClass::Basic(basic::AMQPMethod::Ack(basic::Ack {
            delivery_tag,
            multiple,
        }))
    }

    fn refusal(code: u16) -> AMQPClass {
        AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
            reply_code: code,
            reply_text: "NOT_FOUND - no exchange".into(),
            class_id: 60,
            method_id: 40,
        }))
    }

    #[tokio::test]
    async fn a_delivery_arrives_whole_and_is_acknowledged_once_that_is_written() {
        let (connection, driver, mut broker) = connected().await;
        let (channel, number) = channel(&connection, &mut broker).await;
        let mut arrivals = channel.arrivals();
        let body: Vec<u8> = (0..100).collect();
        for (tag, body) in [(1, &body[..]), (2, &[])] {
            let deliver = basic::AMQPMethod::Deliver(basic::Deliver {
                consumer_tag: "3".into(),
                delivery_tag: tag,
                redelivered: false,
                exchange: "".into(),
                routing_key: "q".into(),
            });
            broker.send_message(number, deliver, body).await;
            let Some(Arrival::Delivery(delivery)) = arrivals.recv().await else {
                panic!("it ended");
            };
            assert_eq!((delivery.tag, delivery.consumer.as_str()), (tag, "3"));
            assert_eq!(delivery.body, body);
            assert!(delivery.properties.expiration().is_some());
        }
        let one = Acknowledgement {
            tag: 2,
            multiple: true,
        };
        let acknowledged = channel.acknowledge(&[one]);
        assert_eq!(broker.receive().await, (number, ack(2, true)));
        assert!(acknowledged.await);
        drop(broker);
        assert!(matches!(driver.await, Ok(Error::HungUp)));
        let ended = arrivals.recv().await;
        assert!(matches!(ended, Some(Arrival::Ended(Error::HungUp))));
        assert!(!connection.is_open());
        assert!(!channel.acknowledge(&[one]).await);
    }

    #[tokio::test]
    async fn what_is_published_together_is_told_of_one_by_one() {
        let (connection, _driver, mut broker) = connected().await;
        let (channel, number) = channel(&connection, &mut broker).await;
        let large = vec![7; 20_000];
        let bodies = [&b"taken"[..], b"returned", b"not taken", &large];
        let confirms = channel.publish(bodies.map(publication).into());
        for _ in bodies {
            let (of, publish) = broker.receive().await;
            let is_publish = matches!(publish, AMQPClass::Basic(basic::AMQPMethod::Publish(_)));
            assert!(of == number && is_publish);
        }
        let returned = basic::AMQPMethod::Return(basic::Return {
            reply_code: 312,
            reply_text: "NO_ROUTE".into(),
            exchange: "".into(),
            routing_key: "q".into(),
        });
        broker.send_message(number, returned, bodies[1]).await;
        broker.send(number, ack(4, false)).await;
        broker.send(number, ack(2, true)).await;
        let nack = basic::AMQPMethod::Nack(basic::Nack {
            delivery_tag: 3,
            multiple: false,
            requeue: false,
        });
        broker.send(number, AMQPClass::Basic(nack)).await;
        let confirms = confirms.await;
        let expected = [Some(true), Some(true), Some(false), Some(true)];
        assert_eq!(confirms.taken, expected);
        assert_eq!(confirms.returned, [bodies[1]]);
        assert!(confirms.lost.is_none());
        // Numbers go on on the same channel.
        let confirms = channel.publish(vec![publication(b"5"), publication(b"6")]);
        broker.send(number, ack(5, false)).await;
        broker.send(number, refusal(code::NOT_FOUND)).await;
        let confirms = confirms.await;
        assert_eq!(confirms.taken, [Some(true), None]);
        let lost = confirms.lost.expect("a reason");
        assert_eq!(lost.refusal().map(|refusal| refusal.code), Some(404));
        assert!(connection.is_open() && !channel.is_open());
        let confirms = channel.publish(vec![publication(b"7")]).await;
        assert_eq!(confirms.taken, [None]);
    }

    #[tokio::test]
    async fn a_channels_number_is_used_again_once_the_broker_has_closed_it() {
        let (connection, _driver, mut broker) = connected().await;
        let (first, number) = channel(&connection, &mut broker).await;
        let (second, _) = channel(&connection, &mut broker).await;
        let none = connection.channel().await.map(|_| ());
        assert!(matches!(none, Err(Error::NoChannelLeft(2))));
        // One that is dropped is closed, and what still comes on it is nobody's.
        drop(first);
        let (of, close) = broker.receive().await;
        let is_close = matches!(close, AMQPClass::Channel(channel::AMQPMethod::Close(_)));
        assert!(of == number && is_close);
        broker.send(number, ack(1, false)).await;
        let closed = channel::AMQPMethod::CloseOk(channel::CloseOk {});
        broker.send(number, AMQPClass::Channel(closed)).await;
        // One that the broker closes is answered before its number is used again.
        let asking = second.confirm();
        let refusing = async {
            let (of, select) = broker.receive().await;
            let select_is = confirm::AMQPMethod::Select(confirm::Select::default());
            assert_eq!(select, AMQPClass::Confirm(select_is));
            broker.send(of, refusal(code::ACCESS_REFUSED)).await;
            let (_, answer) = broker.receive().await;
            let expected = channel::AMQPMethod::CloseOk(channel::CloseOk {});
            assert_eq!(answer, AMQPClass::Channel(expected));
        };
        let (refused, ()) = tokio::join!(asking, refusing);
        assert!(matches!(refused, Err(Error::Channel(_))));
        for _ in 0..2 {
            let (channel, _) = channel(&connection, &mut broker).await;
            std::mem::forget(channel);
        }
    }

    #[tokio::test]
    async fn a_channel_that_both_sides_close_is_closed_once_both_have_answered() {
        let (connection, _driver, mut broker) = connected().await;
        let (first, number) = channel(&connection, &mut broker).await;
        let (_second, _) = channel(&connection, &mut broker).await;
        let (closed, ()) = tokio::join!(first.close(), async {
            broker.receive().await;
            broker
                .send(number, refusal(code::PRECONDITION_FAILED))
                .await;
            let (_, answer) = broker.receive().await;
            let expected = channel::AMQPMethod::CloseOk(channel::CloseOk {});
            assert_eq!(answer, AMQPClass::Channel(expected));
        });
        assert!(matches!(closed, Err(Error::Channel(_))));
        let none = connection.channel().await.map(|_| ());
        assert!(matches!(none, Err(Error::NoChannelLeft(2))), "{none:?}");
        let closed = channel::AMQPMethod::CloseOk(channel::CloseOk {});
        broker.send(number, AMQPClass::Channel(closed)).await;
        while connection.channel_state(number).is_some() {
            tokio::task::yield_now().await;
        }
        assert_eq!(channel(&connection, &mut broker).await.1, number);
    }

    #[tokio::test]
    async fn both_sides_can_close_a_connection() {
        let (connection, driver, mut broker) = connected().await;
        connection.close();
        let (_, close) = broker.receive().await;
        let is_close = matches!(
            close,
            AMQPClass::Connection(connection::AMQPMethod::Close(_))
        );
        assert!(is_close);
        let done = connection::AMQPMethod::CloseOk(connection::CloseOk {});
        broker.send(0, AMQPClass::Connection(done)).await;
        assert!(matches!(driver.await, Ok(Error::Closed)));

        let (connection, driver, mut broker) = connected().await;
        let (channel, _) = channel(&connection, &mut broker).await;
        let close = connection::AMQPMethod::Close(connection::Close {
            reply_code: 320,
            reply_text: "CONNECTION_FORCED - broker forced connection closure".into(),
            class_id: 0,
            method_id: 0,
        });
        let (asked, ()) = tokio::join!(channel.confirm(), async {
            broker.receive().await;
            broker.send(0, AMQPClass::Connection(close)).await;
            let (_, answer) = broker.receive().await;
            let expected = connection::AMQPMethod::CloseOk(connection::CloseOk {});
            assert_eq!(answer, AMQPClass::Connection(expected));
        });
        let told = driver.await.expect("it ended").to_string();
        assert_eq!(
            told,
            "CONNECTION_FORCED - broker forced connection closure (320)"
        );
        assert_eq!(asked.expect_err("lost").to_string(), told);
    }

    #[tokio::test]
    async fn a_silent_broker_is_noticed_and_hears_from_us() {
        let (_connection, driver, mut broker) = connected_with(1).await;
        let error = driver.await.expect("it ended");
        assert!(matches!(error, Error::Silent(2)), "{error}");
        let mut heard = Vec::new();
        broker.stream.read_to_end(&mut heard).await.expect("read");
        let heartbeat = [8, 0, 0, 0, 0, 0, 0, 206];
        assert!(heard.ends_with(&heartbeat) && heard.len() >= 3 * heartbeat.len());
    }

    #[tokio::test]
    async fn what_is_no_amqp_ends_the_connection_and_nothing_else() {
        let (connection, driver, mut broker) = connected().await;
        let (channel, number) = channel(&connection, &mut broker).await;
        broker.send(number + 1, ack(1, false)).await;
        let error = driver.await.expect("it ended").to_string();
        assert!(error.contains("no channel 2 is open"), "{error}");
        let refused = channel.confirm().await.expect_err("lost").to_string();
        assert_eq!(refused, error);
    }
}
