//! Exchanges, queues and bindings of a target: plain values first, declared afterwards.
//!
//! Names, flags and arguments are upstream's (impl_rabbit.py: `declare_topic_consumer`,
//! `declare_fanout_consumer`, `declare_direct_consumer`): the broker answers a redeclaration that
//! differs in one of them with 406, to whoever comes second.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use crate::protocol::target::ServerTarget;

/// Every queue that one listener consumes, in the order in which it declares them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Topology {
    pub(super) queues: Vec<Queue>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Queue {
    pub(super) name: String,
    /// How long it outlives its last consumer (`x-expires`); `None` is for ever.
    pub(super) expires_after: Option<Duration>,
    /// `None` leaves it to the default exchange, which reaches every queue by its name.
    pub(super) binding: Option<Binding>,
    /// Nobody else has a use for it: it is deleted when its listener closes.
    pub(super) owned: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Binding {
    pub(super) exchange: Exchange,
    pub(super) routing_key: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Exchange {
    pub(super) name: String,
    pub(super) kind: ExchangeKind,
    pub(super) auto_delete: bool,
}

impl Exchange {
    /// The exchange that calls and casts of a service go through.
    pub(super) fn topic(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: ExchangeKind::Topic,
            auto_delete: false,
        }
    }
}

impl Topology {
    /// The shared, the directed and the fanout queue of a server. `suffix` tells this server's
    /// fanout queue from its peers'.
    pub(super) fn of_server(
        target: &ServerTarget,
        suffix: &str,
        transient_ttl: Option<Duration>,
    ) -> Self {
        let topic = &target.topic;
        let directed = format!("{topic}.{}", target.server);
        let shared = |name: &str| Queue {
            name: name.to_owned(),
            expires_after: None,
            binding: Some(Binding {
                exchange: Exchange::topic(&target.exchange),
                routing_key: name.to_owned(),
            }),
            owned: false,
        };
        let fanout = Queue {
            name: format!("{topic}_fanout_{suffix}"),
            expires_after: transient_ttl,
            binding: Some(Binding {
                exchange: Exchange {
                    name: format!("{topic}_fanout"),
                    kind: ExchangeKind::Fanout,
                    auto_delete: true,
                },
                routing_key: topic.clone(),
            }),
            owned: true,
        };
        Self {
            queues: vec![shared(topic), shared(&directed), fanout],
        }
    }

    /// A client's reply queue.
    pub(super) fn of_replies(name: &str, transient_ttl: Option<Duration>) -> Self {
        Self {
            queues: vec![Queue {
                name: name.to_owned(),
                expires_after: transient_ttl,
                binding: None,
                owned: true,
            }],
        }
    }

    /// Declares everything, actively: what is missing is made, what differs is an error.
    pub(super) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        for queue in &self.queues {
            queue.declare(channel).await?;
        }
        Ok(())
    }
}

impl Queue {
    async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        if let Some(binding) = &self.binding {
            declare_exchange(channel, &binding.exchange).await?;
        }
        let options = QueueDeclareOptions::default();
        channel
            .queue_declare(self.name.as_str().into(), options, self.arguments())
            .await?;
        if let Some(binding) = &self.binding {
            channel
                .queue_bind(
                    self.name.as_str().into(),
                    binding.exchange.name.as_str().into(),
                    binding.routing_key.as_str().into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await?;
        }
        Ok(())
    }

    fn arguments(&self) -> FieldTable {
        let mut arguments = FieldTable::default();
        if let Some(after) = self.expires_after {
            let after_ms = i32::try_from(after.as_millis()).unwrap_or(i32::MAX);
            arguments.insert(ShortString::from("x-expires"), AMQPValue::LongInt(after_ms));
        }
        arguments
    }
}

/// Makes the exchange if it is not there.
pub(super) async fn declare_exchange(channel: &Channel, exchange: &Exchange) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions {
        auto_delete: exchange.auto_delete,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(
            exchange.name.as_str().into(),
            exchange.kind.clone(),
            options,
            FieldTable::default(),
        )
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_shared_a_directed_and_a_fanout_queue() {
        let target = ServerTarget {
            exchange: "neutron".into(),
            topic: "q-plugin".into(),
            server: "ctl1".into(),
        };
        let topology = Topology::of_server(&target, "00ff", Some(Duration::from_secs(1800)));
        let shown: Vec<_> = topology
            .queues
            .iter()
            .map(|queue| {
                let binding = queue.binding.as_ref().expect("bound");
                format!(
                    "{} from {} ({:?}) by {}",
                    queue.name, binding.exchange.name, binding.exchange.kind, binding.routing_key
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "q-plugin from neutron (Topic) by q-plugin",
                "q-plugin.ctl1 from neutron (Topic) by q-plugin.ctl1",
                "q-plugin_fanout_00ff from q-plugin_fanout (Fanout) by q-plugin",
            ]
        );
    }
}
