//! An open connection, and the channels on it.

use std::collections::HashMap;
use std::mem::take;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amq_protocol::protocol::connection::{AMQPMethod, Close};
use amq_protocol::protocol::{AMQPClass, constants};

use super::channel::{Channel, State};
use super::error::Error;
use super::frame::put_method;
use super::handshake::Tuned;
use super::outgoing::Outgoing;

/// A connection that was opened, and may be lost by now. A driver runs it.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(super) outgoing: Arc<Outgoing>,
    channels: Arc<Mutex<Channels>>,
}

struct Channels {
    by_number: HashMap<u16, Arc<Mutex<State>>>,
    /// Numbers that were used, and can be used again.
    free: Vec<u16>,
    /// How many were used at all.
    used: u16,
    most: u16,
    ended: Option<Error>,
}

impl Connection {
    /// Writes to the `socket` itself where that saves something, if there is one.
    pub(super) fn new(tuned: Tuned, socket: Option<TcpStream>) -> Self {
        Self {
            outgoing: Arc::new(Outgoing::new(tuned.largest_frame as usize, socket)),
            channels: Arc::new(Mutex::new(Channels {
                by_number: HashMap::new(),
                free: Vec::new(),
                used: 0,
                most: tuned.channels,
                ended: None,
            })),
        }
    }

    /// A new channel.
    pub(crate) async fn channel(&self) -> Result<Channel, Error> {
        let state = Arc::default();
        let number = self.channels().add(&state)?;
        Channel::open(number, state, &self.outgoing).await
    }

    /// Whether it was neither lost nor closed.
    pub(crate) fn is_open(&self) -> bool {
        self.channels().ended.is_none()
    }

    /// Asks the broker to close it. The driver ends once it has; whatever goes wrong then, it was closed.
    pub(crate) fn close(&self) {
        self.channels().ended.get_or_insert(Error::Closed);
        let close = AMQPClass::Connection(AMQPMethod::Close(Close {
            reply_code: constants::REPLY_SUCCESS,
            reply_text: "OK".into(),
            class_id: 0,
            method_id: 0,
        }));
        self.outgoing.put(|bytes| put_method(bytes, 0, close));
    }

    /// What is known of a channel.
    pub(super) fn channel_state(&self, number: u16) -> Option<Arc<Mutex<State>>> {
        self.channels().by_number.get(&number).cloned()
    }

    /// The broker knows the channel no more.
    pub(super) fn forget(&self, number: u16) {
        let mut channels = self.channels();
        if channels.by_number.remove(&number).is_some() {
            channels.free.push(number);
        }
    }

    /// Tells everybody that waits for something that it will not come, and returns why: `error`, unless it has
    /// ended before.
    pub(super) fn end(&self, error: Error) -> Error {
        let (states, error) = {
            let mut channels = self.channels();
            let states = take(&mut channels.by_number);
            (states, channels.ended.get_or_insert(error).clone())
        };
        self.outgoing.end();
        for state in states.into_values() {
            State::end(&state, &error);
        }
        error
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channels {
    /// A number for a channel, which is known by it from here on.
    fn add(&mut self, state: &Arc<Mutex<State>>) -> Result<u16, Error> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.used < self.most => {
                self.used += 1;
                self.used
            }
            None => return Err(Error::NoChannelLeft(self.most)),
        };
        self.by_number.insert(number, Arc::clone(state));
        Ok(number)
    }
}
