//! A channel: asks the broker for something and awaits its answer, publishes with confirms, and consumes.

use std::collections::VecDeque;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::basic::{self, Ack, Publish, Qos, Reject};
use amq_protocol::protocol::{AMQPClass, BasicProperties, channel, confirm, constants};
use amq_protocol::protocol::{exchange, queue};
use amq_protocol::types::{FieldTable, ShortString};
use tokio::sync::{mpsc, oneshot};

use super::error::{Error, Refusal, short};
use super::frame::{Payload, put, put_body, put_method};
use super::outgoing::Outgoing;
use super::written::Written;

/// The class of methods that have a content.
const BASIC: u16 = 60;
/// Memory for a body before any of it has come.
const FORESEEN_BODY: u64 = 1024 * 1024;

/// An open channel. It is closed when the last that has it drops it.
#[derive(Clone)]
pub(crate) struct Channel(Arc<Inner>);

struct Inner {
    number: u16,
    outgoing: Arc<Outgoing>,
    state: Arc<Mutex<State>>,
}

/// What the channel and the driver know of it.
#[derive(Default)]
pub(super) struct State {
    /// Why it is of no use any more.
    ended: Option<Error>,
    /// This side asked to close it: nothing counts but the answer.
    is_closing: bool,
    /// Whose answer comes next: a broker answers in the order in which it is asked.
    asked: VecDeque<Asked>,
    arrivals: Option<mpsc::UnboundedSender<Arrival>>,
    content: Option<Content>,
    batch: Option<Batch>,
    /// Messages that were published.
    published: u64,
}

/// What a consumer hears.
#[expect(clippy::large_enum_variant, reason = "nearly every one is a delivery")]
#[derive(Debug)]
pub(crate) enum Arrival {
    Delivery(Delivery),
    /// The broker ended the consumer with that tag.
    Cancelled(String),
    /// There is nothing more to come.
    Ended(Error),
}

/// A message to a consumer.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) consumer: ShortString,
    pub(crate) tag: u64,
    pub(crate) properties: BasicProperties,
    pub(crate) body: Vec<u8>,
}

/// A message to be published.
pub(crate) struct Publication<'a> {
    /// At most 255 bytes, as the key.
    pub(crate) exchange: &'a str,
    pub(crate) key: &'a str,
    pub(crate) mandatory: bool,
    pub(crate) properties: BasicProperties,
    pub(crate) body: &'a [u8],
}

/// What became of messages that were published together.
#[derive(Debug)]
pub(crate) struct Confirms {
    /// Whether the broker took each, in their order; `None` where it did not say.
    pub(crate) taken: Vec<Option<bool>>,
    /// Bodies of those that reached no queue, among those that were taken.
    pub(crate) returned: Vec<Vec<u8>>,
    /// Why the broker did not say of some.
    pub(crate) lost: Option<Error>,
}

impl Confirms {
    fn none_of(count: usize, lost: Error) -> Self {
        Self {
            taken: vec![None; count],
            returned: Vec::new(),
            lost: Some(lost),
        }
    }
}

/// One `basic.ack`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Acknowledgement {
    pub(crate) tag: u64,
    /// With all before it.
    pub(crate) multiple: bool,
}

/// Who awaits an answer.
struct Asked {
    /// Whether a method is that answer.
    is_answer: fn(&AMQPClass) -> bool,
    tell: oneshot::Sender<Result<(), Error>>,
}

/// Messages that are under way.
struct Batch {
    /// The number of the first of them on its channel, from 1 on.
    first: u64,
    confirms: Confirms,
    /// How many are not confirmed.
    open: usize,
    tell: oneshot::Sender<Confirms>,
}

/// A message that is being received.
struct Content {
    of: ContentOf,
    properties: BasicProperties,
    body: Vec<u8>,
    /// What is still to come; `None` before its header.
    left: Option<u64>,
}

enum ContentOf {
    Delivery { consumer: ShortString, tag: u64 },
    Return,
}

/// What the driver has to do about what a channel heard.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) answer: Option<AMQPClass>,
    /// The channel's number is free, after that.
    pub(super) is_gone: bool,
}

impl Channel {
    pub(super) async fn open(
        number: u16,
        state: Arc<Mutex<State>>,
        outgoing: &Arc<Outgoing>,
    ) -> Result<Self, Error> {
        let channel = Self(Arc::new(Inner {
            number,
            outgoing: Arc::clone(outgoing),
            state,
        }));
        let open = AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}));
        let opened = channel.ask(open, |answer| {
            matches!(answer, AMQPClass::Channel(channel::AMQPMethod::OpenOk(_)))
        });
        opened.await?;
        Ok(channel)
    }

    /// Whether it was neither lost nor closed.
    pub(crate) fn is_open(&self) -> bool {
        let state = self.0.state();
        state.ended.is_none() && !state.is_closing
    }

    /// Closes it, and waits until the broker has.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        let closed = self.0.state().close(&self.0)?;
        closed.await.unwrap_or(Err(Error::Closed))
    }

    pub(crate) async fn declare_exchange(&self, declare: exchange::Declare) -> Result<(), Error> {
        let method = AMQPClass::Exchange(exchange::AMQPMethod::Declare(declare));
        let declared = self.ask(method, |answer| {
            matches!(
                answer,
                AMQPClass::Exchange(exchange::AMQPMethod::DeclareOk(_))
            )
        });
        declared.await
    }

    pub(crate) async fn declare_queue(&self, declare: queue::Declare) -> Result<(), Error> {
        let method = AMQPClass::Queue(queue::AMQPMethod::Declare(declare));
        let declared = self.ask(method, |answer| {
            matches!(answer, AMQPClass::Queue(queue::AMQPMethod::DeclareOk(_)))
        });
        declared.await
    }

    pub(crate) async fn bind_queue(&self, bind: queue::Bind) -> Result<(), Error> {
        let method = AMQPClass::Queue(queue::AMQPMethod::Bind(bind));
        let bound = self.ask(method, |answer| {
            matches!(answer, AMQPClass::Queue(queue::AMQPMethod::BindOk(_)))
        });
        bound.await
    }

    /// Deletes a queue with all that is in it.
    pub(crate) async fn delete_queue(&self, name: &str) -> Result<(), Error> {
        let delete = queue::Delete {
            queue: short(name)?,
            ..queue::Delete::default()
        };
        let method = AMQPClass::Queue(queue::AMQPMethod::Delete(delete));
        let deleted = self.ask(method, |answer| {
            matches!(answer, AMQPClass::Queue(queue::AMQPMethod::DeleteOk(_)))
        });
        deleted.await
    }

    /// How many deliveries each consumer may have unsettled.
    pub(crate) async fn prefetch(&self, count: u16) -> Result<(), Error> {
        let qos = Qos {
            prefetch_count: count,
            global: false,
        };
        let method = AMQPClass::Basic(basic::AMQPMethod::Qos(qos));
        let set = self.ask(method, |answer| {
            matches!(answer, AMQPClass::Basic(basic::AMQPMethod::QosOk(_)))
        });
        set.await
    }

    /// From here on the broker confirms what is published.
    pub(crate) async fn confirm(&self) -> Result<(), Error> {
        let select = confirm::AMQPMethod::Select(confirm::Select::default());
        let selected = self.ask(AMQPClass::Confirm(select), |answer| {
            matches!(answer, AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_)))
        });
        selected.await
    }

    /// What the channel's consumers will hear; to be asked for before there are any, and once.
    pub(crate) fn arrivals(&self) -> mpsc::UnboundedReceiver<Arrival> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.0.state();
        if state.ended.is_none() {
            state.arrivals = Some(sender);
        }
        receiver
    }

    /// Consumes a queue, under a tag of this side's choice.
    pub(crate) async fn consume(
        &self,
        queue: &str,
        tag: &str,
        arguments: FieldTable,
    ) -> Result<(), Error> {
        let consume = basic::Consume {
            queue: short(queue)?,
            consumer_tag: short(tag)?,
            arguments,
            ..basic::Consume::default()
        };
        let method = AMQPClass::Basic(basic::AMQPMethod::Consume(consume));
        let consumed = self.ask(method, |answer| {
            matches!(answer, AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(_)))
        });
        consumed.await
    }

    /// Ends a consumer; after this nothing comes to it any more.
    pub(crate) async fn cancel(&self, tag: &str) -> Result<(), Error> {
        let cancel = basic::Cancel {
            consumer_tag: short(tag)?,
            nowait: false,
        };
        let method = AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel));
        let cancelled = self.ask(method, |answer| {
            matches!(answer, AMQPClass::Basic(basic::AMQPMethod::CancelOk(_)))
        });
        cancelled.await
    }

    /// Publishes messages and awaits that all of them are confirmed or the channel lost. They are on their way with
    /// the call, also where nobody polls what it returns. One call at a time, on a channel that confirms.
    pub(crate) fn publish(
        &self,
        publications: Vec<Publication<'_>>,
    ) -> impl Future<Output = Confirms> + Send + use<> {
        let Inner {
            number, outgoing, ..
        } = &*self.0;
        let count = publications.len();
        let mut bytes = Vec::new();
        for publication in publications {
            publication.put(&mut bytes, *number, outgoing.largest_frame);
        }
        let under_way = {
            let mut state = self.0.state();
            let usable = state.check();
            usable.map(|()| {
                // Within the lock, as with all that is put: the driver frees the channel's number with it.
                outgoing.send(&bytes);
                state.begin_batch(count)
            })
        };
        async move {
            let confirms = match under_way {
                Ok(told) => told.await.map_err(|_| Error::Closed),
                Err(error) => Err(error),
            };
            confirms.unwrap_or_else(|error| Confirms::none_of(count, error))
        }
    }

    /// Acknowledges deliveries.
    pub(crate) fn acknowledge(&self, acknowledgements: &[Acknowledgement]) -> Written {
        let acks = acknowledgements.iter().map(|one| {
            basic::AMQPMethod::Ack(Ack {
                delivery_tag: one.tag,
                multiple: one.multiple,
            })
        });
        self.settle(acks)
    }

    /// Rejects a delivery.
    pub(crate) fn reject(&self, tag: u64, requeue: bool) -> Written {
        let reject = basic::AMQPMethod::Reject(Reject {
            delivery_tag: tag,
            requeue,
        });
        self.settle([reject])
    }

    fn settle(&self, methods: impl IntoIterator<Item = basic::AMQPMethod>) -> Written {
        let state = self.0.state();
        if state.check().is_err() {
            return Written::never();
        }
        self.0.outgoing.put_and_flush(|bytes| {
            for method in methods {
                put_method(bytes, self.0.number, AMQPClass::Basic(method));
            }
        })
    }

    /// Asks for something, and awaits what is its answer.
    async fn ask(&self, method: AMQPClass, is_answer: fn(&AMQPClass) -> bool) -> Result<(), Error> {
        let answer = {
            let mut state = self.0.state();
            state.check()?;
            state.ask(&self.0, method, is_answer)
        };
        answer.await.unwrap_or(Err(Error::Closed))
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // If it is closed already, so much the better.
        let _ = self.state().close(self);
    }
}

impl Publication<'_> {
    fn put(self, to: &mut Vec<u8>, channel: u16, largest_frame: usize) {
        let publish = basic::AMQPMethod::Publish(Publish {
            exchange: self.exchange.into(),
            routing_key: self.key.into(),
            mandatory: self.mandatory,
            immediate: false,
        });
        let header = AMQPContentHeader {
            class_id: BASIC,
            body_size: self.body.len() as u64,
            properties: self.properties,
        };
        put_method(to, channel, AMQPClass::Basic(publish));
        put(to, &AMQPFrame::Header(channel, header));
        put_body(to, channel, self.body, largest_frame);
    }
}

impl State {
    fn check(&self) -> Result<(), Error> {
        match &self.ended {
            Some(error) => Err(error.clone()),
            None if self.is_closing => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// Asks for something; what it returns is told the answer.
    fn ask(
        &mut self,
        of: &Inner,
        method: AMQPClass,
        is_answer: fn(&AMQPClass) -> bool,
    ) -> oneshot::Receiver<Result<(), Error>> {
        let (tell, told) = oneshot::channel();
        self.asked.push_back(Asked { is_answer, tell });
        // Within the lock: who is answered is told by the order of the questions.
        of.outgoing
            .put(|bytes| put_method(bytes, of.number, method));
        told
    }

    /// Asks the broker to close the channel.
    fn close(&mut self, of: &Inner) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        self.check()?;
        self.is_closing = true;
        let close = AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
            reply_code: constants::REPLY_SUCCESS,
            reply_text: "OK".into(),
            class_id: 0,
            method_id: 0,
        }));
        Ok(self.ask(of, close, |answer| {
            matches!(answer, AMQPClass::Channel(channel::AMQPMethod::CloseOk(_)))
        }))
    }

    /// So many messages are published with this; what it returns is told what became of them.
    fn begin_batch(&mut self, count: usize) -> oneshot::Receiver<Confirms> {
        let (tell, told) = oneshot::channel();
        let confirms = Confirms {
            taken: vec![None; count],
            returned: Vec::new(),
            lost: None,
        };
        if count == 0 {
            // The broker will not say anything of it.
            let _ = tell.send(confirms);
            return told;
        }
        self.batch = Some(Batch {
            first: self.published + 1,
            confirms,
            open: count,
            tell,
        });
        self.published += count as u64;
        told
    }

    /// Takes a frame that came on the channel. Who asks or publishes is told without the lock, as it may drop the
    /// channel then; a listener is only woken.
    pub(super) fn hear(this: &Mutex<Self>, payload: Payload<'_>) -> Result<Heard, Error> {
        match payload {
            Payload::Method(AMQPClass::Channel(channel::AMQPMethod::Close(close))) => {
                let refusal = Refusal {
                    code: close.reply_code,
                    text: close.reply_text.to_string(),
                };
                // Where both sides close, the broker answers ours as well.
                let is_gone = !lock(this).is_closing;
                Self::end(this, &Error::Channel(refusal));
                let done = channel::AMQPMethod::CloseOk(channel::CloseOk {});
                Ok(Heard {
                    answer: Some(AMQPClass::Channel(done)),
                    is_gone,
                })
            }
            Payload::Method(AMQPClass::Channel(channel::AMQPMethod::CloseOk(_))) => {
                let closed = lock(this).asked.pop_back();
                Self::end(this, &Error::Closed);
                if let Some(Asked { tell, .. }) = closed {
                    let _ = tell.send(Ok(()));
                }
                Ok(Heard {
                    answer: None,
                    is_gone: true,
                })
            }
            _ if lock(this).is_closing => Ok(Heard::default()),
            Payload::Method(AMQPClass::Channel(channel::AMQPMethod::Flow(flow))) => {
                let done = channel::FlowOk {
                    active: flow.active,
                };
                let done = channel::AMQPMethod::FlowOk(done);
                Ok(Heard {
                    answer: Some(AMQPClass::Channel(done)),
                    is_gone: false,
                })
            }
            Payload::Method(AMQPClass::Basic(method)) => Self::hear_basic(this, method),
            Payload::Method(answer) => Self::answer(this, answer),
            Payload::Header(header) => Self::content(this, |content| {
                if content.left.is_some() {
                    return Err(Error::Garbled("a second header of a message".to_owned()));
                }
                content.left = Some(header.body_size);
                content.properties = header.properties;
                let foreseen = header.body_size.min(FORESEEN_BODY);
                content.body.reserve(usize::try_from(foreseen).unwrap_or(0));
                Ok(())
            }),
            Payload::Body(part) => Self::content(this, |content| {
                let left = content
                    .left
                    .and_then(|left| left.checked_sub(part.len() as u64));
                let Some(left) = left else {
                    let problem = "more of a message than its header says";
                    return Err(Error::Garbled(problem.to_owned()));
                };
                content.left = Some(left);
                content.body.extend_from_slice(part);
                Ok(())
            }),
            Payload::Heartbeat => Ok(Heard::default()),
        }
    }

    fn hear_basic(this: &Mutex<Self>, method: basic::AMQPMethod) -> Result<Heard, Error> {
        let of = match method {
            basic::AMQPMethod::Deliver(deliver) => ContentOf::Delivery {
                consumer: deliver.consumer_tag,
                tag: deliver.delivery_tag,
            },
            basic::AMQPMethod::Return(_) => ContentOf::Return,
            basic::AMQPMethod::Ack(ack) => {
                Self::confirmed(this, ack.delivery_tag, ack.multiple, true);
                return Ok(Heard::default());
            }
            basic::AMQPMethod::Nack(nack) => {
                Self::confirmed(this, nack.delivery_tag, nack.multiple, false);
                return Ok(Heard::default());
            }
            basic::AMQPMethod::Cancel(cancel) => {
                let arrival = Arrival::Cancelled(cancel.consumer_tag.into());
                lock(this).arrive(arrival);
                return Ok(Heard::default());
            }
            answer => return Self::answer(this, AMQPClass::Basic(answer)),
        };
        let mut state = lock(this);
        if state.content.is_some() {
            let problem = "a message within another one";
            return Err(Error::Garbled(problem.to_owned()));
        }
        state.content = Some(Content {
            of,
            properties: BasicProperties::default(),
            body: Vec::new(),
            left: None,
        });
        Ok(Heard::default())
    }

    /// What was asked for has come about.
    fn answer(this: &Mutex<Self>, answer: AMQPClass) -> Result<Heard, Error> {
        let asked = lock(this).asked.pop_front();
        match asked {
            Some(Asked { is_answer, tell }) if is_answer(&answer) => {
                // Whoever gave up waiting need not know.
                let _ = tell.send(Ok(()));
                Ok(Heard::default())
            }
            _ => {
                let problem = "an answer to what was not asked";
                Err(Error::Garbled(problem.to_owned()))
            }
        }
    }

    /// Adds to the message that is being received, and hands it on if that was all of it.
    fn content(
        this: &Mutex<Self>,
        add: impl FnOnce(&mut Content) -> Result<(), Error>,
    ) -> Result<Heard, Error> {
        let mut state = lock(this);
        let Some(content) = &mut state.content else {
            let problem = "a part of a message that has not begun";
            return Err(Error::Garbled(problem.to_owned()));
        };
        add(content)?;
        if content.left != Some(0) {
            return Ok(Heard::default());
        }
        let Some(content) = state.content.take() else {
            return Ok(Heard::default());
        };
        match content.of {
            ContentOf::Delivery { consumer, tag } => state.arrive(Arrival::Delivery(Delivery {
                consumer,
                tag,
                properties: content.properties,
                body: content.body,
            })),
            ContentOf::Return => {
                if let Some(batch) = &mut state.batch {
                    batch.confirms.returned.push(content.body);
                }
            }
        }
        Ok(Heard::default())
    }

    fn arrive(&self, arrival: Arrival) {
        if let Some(arrivals) = &self.arrivals {
            // Without a consumer the channel is about to be closed, which requeues it.
            let _ = arrivals.send(arrival);
        }
    }

    fn confirmed(this: &Mutex<Self>, tag: u64, multiple: bool, taken: bool) {
        let batch = {
            let mut state = lock(this);
            match &mut state.batch {
                Some(batch) => batch.confirm(tag, multiple, taken),
                None => return,
            }
            state.batch.take_if(|batch| batch.open == 0)
        };
        if let Some(batch) = batch {
            let _ = batch.tell.send(batch.confirms);
        }
    }

    /// Nothing more comes on it.
    pub(super) fn end(this: &Mutex<Self>, error: &Error) {
        let (asked, batch, arrivals) = {
            let mut state = lock(this);
            state.ended.get_or_insert_with(|| error.clone());
            let (batch, arrivals) = (state.batch.take(), state.arrivals.take());
            (take(&mut state.asked), batch, arrivals)
        };
        for Asked { tell, .. } in asked {
            let _ = tell.send(Err(error.clone()));
        }
        if let Some(mut batch) = batch {
            batch.confirms.lost = Some(error.clone());
            let _ = batch.tell.send(batch.confirms);
        }
        if let Some(arrivals) = arrivals {
            let _ = arrivals.send(Arrival::Ended(error.clone()));
        }
    }
}

impl Batch {
    /// The broker took those messages, or could not.
    fn confirm(&mut self, tag: u64, multiple: bool, taken: bool) {
        // Of all that were published, 0 means each.
        let last = if tag == 0 { u64::MAX } else { tag };
        let Some(last) = last.checked_sub(self.first) else {
            return;
        };
        let last = usize::try_from(last).unwrap_or(usize::MAX);
        let first = if multiple { 0 } else { last };
        let confirmed = self.confirms.taken.iter_mut();
        for one in confirmed.take(last.saturating_add(1)).skip(first) {
            if one.is_none() {
                *one = Some(taken);
                self.open -= 1;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
