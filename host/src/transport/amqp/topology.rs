//! Exchanges, queues and bindings of a target: plain values first, declared afterwards.
//!
//! Names, flags and arguments are upstream's (impl_rabbit.py: `declare_topic_consumer`,
//! `declare_fanout_consumer`, `declare_direct_consumer`, `_get_queue_arguments`): the broker
//! answers a redeclaration that differs in one of them with 406, to whoever comes second.

use amq_protocol::protocol::{exchange, queue};
use amq_protocol::types::{AMQPValue, FieldTable};

use super::options::Config;
use super::wire::{self, Channel, short};
use crate::protocol::target::ServerTarget;

/// Every queue that one listener consumes, in the order in which it declares them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Topology {
    pub(super) queues: Vec<Queue>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Queue {
    pub(super) name: String,
    kind: QueueKind,
    durable: bool,
    auto_delete: bool,
    arguments: FieldTable,
    /// `None` leaves it to the default exchange, which reaches every queue by its name.
    pub(super) binding: Option<Binding>,
    /// Nobody else has a use for it: it is deleted when its listener closes.
    pub(super) owned: bool,
    pub(super) consumer_arguments: FieldTable,
}

/// What keeps the messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum QueueKind {
    Classic,
    Quorum,
    Stream,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Binding {
    pub(super) exchange: Exchange,
    routing_key: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Exchange {
    pub(super) name: String,
    kind: ExchangeKind,
    durable: bool,
    auto_delete: bool,
}

/// How an exchange finds the queues of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ExchangeKind {
    Topic,
    Fanout,
}

impl ExchangeKind {
    fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Fanout => "fanout",
        }
    }
}

/// Which of the objects the broker did not take.
pub(super) struct DeclareError {
    pub(super) object: Object,
    pub(super) error: wire::Error,
}

pub(super) enum Object {
    Exchange(String),
    Queue(String),
    /// A queue's binding or consumer: the queue itself is there.
    Use(String),
}

impl Exchange {
    /// The exchange that calls and casts of a service go through.
    pub(super) fn topic(name: &str, config: &Config) -> Self {
        Self {
            name: name.to_owned(),
            kind: ExchangeKind::Topic,
            durable: config.durable(),
            auto_delete: config.amqp_auto_delete,
        }
    }

    /// The exchange that reaches every server of a topic. Its name does not hold the service's
    /// exchange: who shares a virtual host and a topic's name shares its fanouts.
    pub(super) fn fanout(topic: &str, config: &Config) -> Self {
        Self {
            name: format!("{topic}_fanout"),
            kind: ExchangeKind::Fanout,
            durable: config.rabbit_transient_quorum_queue || config.rabbit_stream_fanout,
            auto_delete: true,
        }
    }

    /// The same for a broker that has it as one that does not survive; `None` if it is that.
    pub(super) fn not_durable(&self) -> Option<Self> {
        self.durable.then(|| Self {
            durable: false,
            ..self.clone()
        })
    }

    /// Makes the exchange if it is not there.
    pub(super) async fn declare(&self, channel: &Channel) -> Result<(), wire::Error> {
        let declare = exchange::Declare {
            exchange: short(&self.name)?,
            kind: self.kind.name().into(),
            durable: self.durable,
            auto_delete: self.auto_delete,
            ..exchange::Declare::default()
        };
        channel.declare_exchange(declare).await
    }
}

impl Topology {
    /// The shared, the directed and the fanout queue of a server. `unique` tells this server's
    /// fanout queue from its peers'.
    pub(super) fn of_server(target: &ServerTarget, unique: &str, config: &Config) -> Self {
        let topic = &target.topic;
        let directed = format!("{topic}.{}", target.server);
        let of_topic = |name: &str| {
            let kind = match config.rabbit_quorum_queue {
                true => QueueKind::Quorum,
                false => QueueKind::Classic,
            };
            let mut queue = Queue::new(name.to_owned(), kind, config);
            queue.durable = config.durable();
            queue.auto_delete = config.amqp_auto_delete;
            queue.binding = Some(Binding {
                exchange: Exchange::topic(&target.exchange, config),
                routing_key: name.to_owned(),
            });
            queue
        };
        let mut fanout = match config.rabbit_stream_fanout {
            true => Queue::new(format!("{topic}_fanout"), QueueKind::Stream, config),
            false => Queue::transient(format!("{topic}_fanout_{unique}"), config),
        };
        fanout.binding = Some(Binding {
            exchange: Exchange::fanout(topic, config),
            routing_key: topic.clone(),
        });
        fanout.owned = !config.rabbit_stream_fanout && !config.use_queue_manager;
        Self {
            queues: vec![of_topic(topic), of_topic(&directed), fanout],
        }
    }

    /// A client's reply queue.
    pub(super) fn of_replies(name: &str, config: &Config) -> Self {
        let mut queue = Queue::transient(name.to_owned(), config);
        queue.owned = !config.use_queue_manager;
        Self {
            queues: vec![queue],
        }
    }

    /// Declares everything, actively: what is missing is made, what differs is an error.
    pub(super) async fn declare(&self, channel: &Channel) -> Result<(), DeclareError> {
        for queue in &self.queues {
            queue.declare(channel).await?;
        }
        Ok(())
    }

    /// Makes the exchange of that name, and the queues bound to it, ones that do not survive a
    /// restart of the broker, as upstream does where somebody made the exchange so before
    /// (impl_rabbit.py: `_declare_fallback_nondurable`). False if nothing is left to change.
    pub(super) fn give_up_durability_of(&mut self, exchange: &str) -> bool {
        let mut changed = false;
        for queue in &mut self.queues {
            let Some(binding) = &mut queue.binding else {
                continue;
            };
            if binding.exchange.name == exchange
                && let Some(weaker) = binding.exchange.not_durable()
            {
                binding.exchange = weaker;
                // There are no others of these kinds.
                queue.durable = queue.kind != QueueKind::Classic;
                changed = true;
            }
        }
        changed
    }
}

impl Queue {
    fn new(name: String, kind: QueueKind, config: &Config) -> Self {
        let mut arguments = FieldTable::default();
        let mut consumer_arguments = FieldTable::default();
        if config.enable_cancel_on_failover && kind != QueueKind::Stream {
            let flag = AMQPValue::Boolean(true);
            consumer_arguments.insert("x-cancel-on-ha-failover".into(), flag);
        }
        match kind {
            QueueKind::Stream => {
                arguments.insert("x-queue-type".into(), text("stream"));
                if let Some(ttl) = config.transient_ttl() {
                    let age = format!("{}s", ttl.as_secs());
                    arguments.insert("x-max-age".into(), text(&age));
                }
            }
            QueueKind::Quorum => {
                arguments.insert("x-queue-type".into(), text("quorum"));
                let limits = [
                    ("x-delivery-limit", config.rabbit_quorum_delivery_limit),
                    (
                        "x-max-in-memory-length",
                        config.rabbit_quorum_max_memory_length,
                    ),
                    (
                        "x-max-in-memory-bytes",
                        config.rabbit_quorum_max_memory_bytes,
                    ),
                ];
                for (name, limit) in limits.into_iter().filter(|(_, limit)| *limit > 0) {
                    arguments.insert(name.into(), number(limit.into()));
                }
            }
            QueueKind::Classic => {}
        }
        if config.rabbit_ha_queues && kind != QueueKind::Stream {
            arguments.insert("x-ha-policy".into(), text("all"));
        }
        Self {
            name,
            kind,
            durable: kind != QueueKind::Classic,
            auto_delete: false,
            arguments,
            binding: None,
            owned: false,
            consumer_arguments,
        }
    }

    /// A queue that belongs to one process, and goes some time after it.
    fn transient(name: String, config: &Config) -> Self {
        let kind = match config.rabbit_transient_quorum_queue {
            true => QueueKind::Quorum,
            false => QueueKind::Classic,
        };
        let mut queue = Self::new(name, kind, config);
        if let Some(ttl) = config.transient_ttl() {
            let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
            queue.arguments.insert("x-expires".into(), number(ttl_ms));
        }
        queue
    }

    pub(super) fn is_stream(&self) -> bool {
        self.kind == QueueKind::Stream
    }

    async fn declare(&self, channel: &Channel) -> Result<(), DeclareError> {
        let failed = |object| move |error| DeclareError { object, error };
        if let Some(Binding { exchange, .. }) = &self.binding {
            let object = Object::Exchange(exchange.name.clone());
            exchange.declare(channel).await.map_err(failed(object))?;
        }
        let object = || Object::Queue(self.name.clone());
        let name = short(&self.name).map_err(failed(object()))?;
        let declare = queue::Declare {
            queue: name.clone(),
            durable: self.durable,
            auto_delete: self.auto_delete,
            arguments: self.arguments.clone(),
            ..queue::Declare::default()
        };
        let declared = channel.declare_queue(declare);
        declared.await.map_err(failed(object()))?;
        if let Some(binding) = &self.binding {
            let bound = channel.bind_queue(queue::Bind {
                queue: name,
                exchange: binding.exchange.name.as_str().into(),
                routing_key: binding.routing_key.as_str().into(),
                ..queue::Bind::default()
            });
            let object = Object::Use(self.name.clone());
            bound.await.map_err(failed(object))?;
        }
        Ok(())
    }
}

/// In the width that Python's client takes for it, although the broker compares only the value.
fn number(value: i64) -> AMQPValue {
    match i32::try_from(value) {
        Ok(short) => AMQPValue::LongInt(short),
        Err(_) => AMQPValue::LongLongInt(value),
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_server(config: &Config) -> Topology {
        let target = ServerTarget {
            exchange: "neutron".into(),
            topic: "q-plugin".into(),
            server: "ctl1".into(),
        };
        Topology::of_server(&target, "00ff", config)
    }

    #[test]
    fn a_server_has_a_shared_a_directed_and_a_fanout_queue() {
        let topology = of_server(&Config::default());
        let shown = topology.queues.iter().map(|queue| {
            let binding = queue.binding.as_ref().expect("bound");
            let Exchange { name, kind, .. } = &binding.exchange;
            let key = &binding.routing_key;
            format!("{} from {name} ({kind:?}) by {key}", queue.name)
        });
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                "q-plugin from neutron (Topic) by q-plugin",
                "q-plugin.ctl1 from neutron (Topic) by q-plugin.ctl1",
                "q-plugin_fanout_00ff from q-plugin_fanout (Fanout) by q-plugin",
            ]
        );
    }

    #[test]
    fn only_what_hangs_on_the_exchange_gives_up_its_durability() {
        let durable = Config {
            amqp_durable_queues: true,
            rabbit_transient_quorum_queue: true,
            ..Config::default()
        };
        let mut topology = of_server(&durable);
        assert!(topology.give_up_durability_of("neutron"));
        let flags = topology.queues.iter().map(|queue| queue.durable);
        assert_eq!(flags.collect::<Vec<_>>(), [false, false, true]);
        assert!(!topology.give_up_durability_of("neutron"), "only once");
    }
}
