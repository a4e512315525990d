//! The host's side in a native test: one set a thread, which is one a test.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::Value;

use crate::call_info::Delivery;
use crate::client::{self, Kind, Target};
use crate::http;
use crate::keyvalue::Error;
use crate::log::Level;

#[derive(Default)]
pub(crate) struct World {
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) buckets: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    pub(crate) log: Vec<(Level, String)>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) answerer: Option<Box<Answerer>>,
    pub(crate) responder: Option<Box<Responder>>,
    pub(crate) broken_bucket: Option<String>,
    pub(crate) now: Option<SystemTime>,
    pub(crate) host_started: Option<SystemTime>,
}

/// A message that was sent: to how many, to whom, the method, and its arguments as JSON.
pub(crate) type Sent = (Kind, Target, String, String);

/// What answers calls to others: given the target, the method and its arguments.
pub(crate) type Answerer = dyn FnMut(&Target, &str, Value) -> Result<Value, client::Error>;

/// What responds to HTTP requests.
pub(crate) type Responder = dyn FnMut(&http::Request) -> Result<http::Response, http::Error>;

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

pub(crate) fn world<R>(act: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(act)
}

pub(crate) fn log(level: Level, message: &str) {
    world(|world| world.log.push((level, message.to_owned())));
}

pub(crate) fn config_get(name: &str) -> Option<String> {
    world(|world| world.settings.get(name).cloned())
}

pub(crate) fn call_id() -> String {
    String::new()
}

pub(crate) fn call_delivery() -> Delivery {
    Delivery::Call
}

pub(crate) fn call_remaining_ms() -> Option<u64> {
    None
}

pub(crate) fn host_started() -> SystemTime {
    world(|world| world.host_started.unwrap_or(SystemTime::UNIX_EPOCH))
}

pub(crate) fn call(
    to: &Target,
    method: &str,
    args: String,
    options: &client::Options,
) -> Result<String, client::Error> {
    let value = serde_json::from_str(&args).unwrap_or_default();
    send(Kind::Call, to, method, args, options)?;
    // It is put back afterwards, so that it may use the world as well.
    let mut answerer = match world(|world| world.answerer.take()) {
        Some(answerer) => answerer,
        None => return Err(client::Error::Unroutable),
    };
    let answer = answerer(to, method, value);
    world(|world| {
        world.answerer.get_or_insert(answerer);
    });
    Ok(answer?.to_string())
}

pub(crate) fn send(
    kind: Kind,
    to: &Target,
    method: &str,
    args: String,
    _options: &client::Options,
) -> Result<(), client::Error> {
    world(|world| world.sent.push((kind, to.clone(), method.to_owned(), args)));
    Ok(())
}

pub(crate) fn http_send(
    request: &http::Request,
    _scheme: &str,
    _authority: &str,
    _path: &str,
) -> Result<http::Response, http::Error> {
    // It is put back afterwards, so that it may use the world as well.
    let mut responder = match world(|world| world.responder.take()) {
        Some(responder) => responder,
        None => return Err(http::Error::Denied),
    };
    let response = responder(request);
    world(|world| {
        world.responder.get_or_insert(responder);
    });
    response
}

pub(crate) fn now() -> SystemTime {
    world(|world| world.now.unwrap_or_else(SystemTime::now))
}

pub(crate) fn random_u64() -> u64 {
    // A standard hasher's keys are random, which is enough for a test.
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0)
}

#[derive(Debug)]
pub(crate) struct Bucket(String);

/// A handle to try a swap again with, and the value that was in the way.
type Conflict = (Swap, Option<Vec<u8>>);

#[derive(Debug)]
pub(crate) struct Swap {
    bucket: String,
    key: String,
    expected: Option<Vec<u8>>,
}

impl Bucket {
    pub(crate) fn open(name: &str) -> Result<Self, Error> {
        Ok(Self(name.to_owned()))
    }

    fn act<R>(&self, act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> R) -> Result<R, Error> {
        world(|world| match world.broken_bucket.as_ref() {
            Some(broken) if *broken == self.0 => Err(Error::Backend("broken by the test".into())),
            _ => Ok(act(world.buckets.entry(self.0.clone()).or_default())),
        })
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.act(|values| values.get(key).cloned())
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.act(|values| drop(values.insert(key.to_owned(), value.to_vec())))
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), Error> {
        self.act(|values| drop(values.remove(key)))
    }

    pub(crate) fn exists(&self, key: &str) -> Result<bool, Error> {
        self.act(|values| values.contains_key(key))
    }

    pub(crate) fn keys(&self) -> Result<Vec<String>, Error> {
        self.act(|values| values.keys().cloned().collect())
    }

    pub(crate) fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        let text = self.get(key)?.unwrap_or_else(|| b"0".to_vec());
        let number = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.parse().ok());
        let sum = number.and_then(|number: i64| number.checked_add(delta));
        let sum = sum.ok_or_else(|| Error::Backend("not a decimal number".to_owned()))?;
        self.set(key, sum.to_string().as_bytes())?;
        Ok(sum)
    }

    pub(crate) fn read_to_swap(&self, key: &str) -> Result<Conflict, Error> {
        let expected = self.get(key)?;
        let swap = Swap {
            bucket: self.0.clone(),
            key: key.to_owned(),
            expected: expected.clone(),
        };
        Ok((swap, expected))
    }
}

impl Swap {
    pub(crate) fn swap(self, value: &[u8]) -> Result<Option<Conflict>, Error> {
        let bucket = Bucket(self.bucket);
        if bucket.get(&self.key)? != self.expected {
            return bucket.read_to_swap(&self.key).map(Some);
        }
        bucket.set(&self.key, value)?;
        Ok(None)
    }
}
