//! The transport that a URL means.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::Transport;
use super::amqp::RabbitTransport;
use super::amqp::options::Config;
use super::memory::MemoryTransport;
use super::url::TransportUrl;

/// A transport to what `url` names, dialled when it is first used. `options` are RabbitMQ's, a
/// listener knows the last `duplicate_window` messages by their ids, and `io` runs what must not be
/// kept waiting, such as heartbeats.
pub fn open(
    url: &TransportUrl,
    options: &Config,
    duplicate_window: usize,
    io: &Handle,
) -> Arc<dyn Transport> {
    match url {
        TransportUrl::Memory => Arc::new(MemoryTransport::new(duplicate_window)),
        TransportUrl::Rabbit(url) => {
            let transport = RabbitTransport::new(url, options.clone(), duplicate_window, io);
            Arc::new(transport)
        }
    }
}
