//! The task of one connection: reads what comes and hands it on, writes what others have put, and notices when
//! nothing comes any more.

use std::future::poll_fn;
use std::io;
use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll};

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::connection::{AMQPMethod, CloseOk};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::{info, warn};

use super::channel::{Heard, State};
use super::connection::Connection;
use super::error::{Error, Refusal};
use super::frame::{Payload, Unparsed, parse, put, put_method};
use super::heartbeat::Beats;

/// So often it reads before others on its thread have their turn.
const READS: usize = 8;
/// Memory that is kept for the next bytes to write.
const KEPT: usize = 64 * 1024;

/// Runs a connection. When it is dropped, the connection is lost.
pub(crate) struct Driver<S> {
    stream: S,
    connection: Connection,
    read: Unparsed,
    /// What is being written, from `done` on.
    writing: Vec<u8>,
    done: usize,
    /// How many bytes are written, and not flushed.
    unflushed: u64,
    /// In seconds; 0 is none.
    heartbeat: u16,
    beats: Option<Beats>,
    /// For lack of memory or disk, the broker reads nothing from whom it told so.
    is_blocked: bool,
    /// Why it ends, once it was tried to write what is still to be said.
    ending: Option<Error>,
}

impl<S> Driver<S> {
    /// Of a connection that was just opened, on which `read` came after that.
    pub(super) fn new(stream: S, read: Vec<u8>, heartbeat: u16, connection: &Connection) -> Self {
        Self {
            stream,
            connection: connection.clone(),
            read: Unparsed::new(read),
            writing: Vec::new(),
            done: 0,
            unflushed: 0,
            heartbeat,
            beats: None,
            is_blocked: false,
            ending: None,
        }
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.connection.end(Error::Closed);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Runs the connection until it is lost or closed, and returns why; `name` is what it is called in the log.
    pub(crate) async fn run(mut self, name: &str) -> Error {
        // Here, as this is the thread that it is to wake.
        self.beats = Beats::every(self.heartbeat);
        let error = poll_fn(|context| self.poll(context, name)).await;
        self.connection.end(error)
    }

    fn poll(&mut self, context: &mut Context<'_>, name: &str) -> Poll<Error> {
        let worked = self.work(context, name);
        match (self.ending.take(), worked) {
            (Some(error), _) | (None, Err(error)) => Poll::Ready(error),
            (None, Ok(())) => Poll::Pending,
        }
    }

    fn work(&mut self, context: &mut Context<'_>, name: &str) -> Result<(), Error> {
        self.connection.outgoing.wakes(context.waker());
        self.read(context, name)?;
        if let Some(beats) = &mut self.beats
            && beats.poll(context)?
        {
            let heartbeat = AMQPFrame::Heartbeat;
            self.connection.outgoing.put(|bytes| put(bytes, &heartbeat));
        }
        let Err(error) = self.write(context) else {
            return Ok(());
        };
        // Who closes a connection says why before that, which may have come by now.
        self.read(context, name)?;
        Err(error.into())
    }

    /// Reads what there is, up to a bound.
    fn read(&mut self, context: &mut Context<'_>, name: &str) -> Result<(), Error> {
        for _ in 0..READS {
            self.hand_on(name)?;
            if self.ending.is_some() {
                return Ok(());
            }
            let mut room = ReadBuf::new(self.read.room());
            match Pin::new(&mut self.stream).poll_read(context, &mut room) {
                Poll::Pending => return Ok(()),
                Poll::Ready(read) => read?,
            }
            let bytes = room.filled().len();
            if bytes == 0 {
                return Err(Error::HungUp);
            }
            self.read.came(bytes);
            if let Some(beats) = &mut self.beats {
                beats.silent = 0;
            }
        }
        context.waker().wake_by_ref();
        self.hand_on(name)
    }

    /// Hands on all frames that were read whole.
    fn hand_on(&mut self, name: &str) -> Result<(), Error> {
        let largest = self.connection.outgoing.largest_frame;
        while self.ending.is_none()
            && let Some(frame) = parse(self.read.bytes(), largest)?
        {
            let bytes = frame.bytes;
            match (frame.channel, frame.payload) {
                (_, Payload::Heartbeat) => {}
                (0, Payload::Method(AMQPClass::Connection(method))) => {
                    self.hear(method, name)?;
                }
                (number, payload) => {
                    let Some(state) = self.connection.channel_state(number) else {
                        return Err(Error::Garbled(format!("no channel {number} is open")));
                    };
                    let Heard { answer, is_gone } = State::hear(&state, payload)?;
                    if let Some(answer) = answer {
                        let outgoing = &self.connection.outgoing;
                        outgoing.put(|bytes| put_method(bytes, number, answer));
                    }
                    if is_gone {
                        // After that: whoever opens one with this number must not be first.
                        self.connection.forget(number);
                    }
                }
            }
            self.read.is_done(bytes);
        }
        Ok(())
    }

    /// Takes what is said of the connection itself.
    fn hear(&mut self, method: AMQPMethod, name: &str) -> Result<(), Error> {
        match method {
            AMQPMethod::Close(close) => {
                let done = AMQPClass::Connection(AMQPMethod::CloseOk(CloseOk {}));
                self.connection
                    .outgoing
                    .put(|bytes| put_method(bytes, 0, done));
                self.ending = Some(Error::Connection(Refusal {
                    code: close.reply_code,
                    text: close.reply_text.to_string(),
                }));
            }
            AMQPMethod::CloseOk(_) => self.ending = Some(Error::Closed),
            AMQPMethod::Blocked(blocked) => {
                self.is_blocked = true;
                self.connection.outgoing.hold();
                let reason = blocked.reason;
                warn!("{name} takes no messages now ({reason}): they wait until it does");
            }
            AMQPMethod::Unblocked(_) => {
                self.is_blocked = false;
                info!("{name} takes messages again");
            }
            _ => return Err(Error::Garbled("a method out of place".to_owned())),
        }
        Ok(())
    }

    /// Writes until there is nothing more, or no more is taken.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        // What is written all the same is not taken, so that the kernel gives the connection up in the end.
        if self.is_blocked && self.ending.is_none() {
            return Ok(());
        }
        loop {
            if self.done == self.writing.len() {
                self.done = 0;
                self.writing.clear();
                self.writing.shrink_to(KEPT);
                self.connection.outgoing.take(&mut self.writing)?;
            }
            let left = &self.writing[self.done..];
            if left.is_empty() {
                break;
            }
            match Pin::new(&mut self.stream).poll_write(context, left) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => {
                    let bytes = written?;
                    self.done += bytes;
                    self.unflushed += bytes as u64;
                    if let Some(beats) = &mut self.beats {
                        beats.wrote = true;
                    }
                }
            }
        }
        if self.unflushed > 0 {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Pending => return Ok(()),
                Poll::Ready(flushed) => flushed?,
            }
            self.connection
                .outgoing
                .tell_written(take(&mut self.unflushed));
        }
        Ok(())
    }
}
