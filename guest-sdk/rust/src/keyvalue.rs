//! Buckets: key-value spaces that outlive the instance and that plugins and hosts can share.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Failure, host};

/// Why a bucket could not be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Error {
    /// The operator did not grant the bucket of this name.
    AccessDenied(String),
    /// There is no bucket of this name.
    NoSuchBucket(String),
    /// The bucket's backend failed.
    Backend(String),
    /// A value is not JSON, or not that of the type asked for.
    Json(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AccessDenied(name) => {
                write!(f, "the bucket `{name}` is not granted to this plugin")
            }
            Self::NoSuchBucket(name) => write!(f, "there is no bucket `{name}`"),
            Self::Backend(reason) => write!(f, "the bucket failed: {reason}"),
            Self::Json(reason) => write!(f, "a value of the bucket is not as expected: {reason}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new("endpointd", "BucketError", error.to_string())
    }
}

/// An open bucket. What is written is safe when the call returns.
#[derive(Debug)]
pub struct Bucket(host::Bucket);

impl Bucket {
    /// Opens the bucket that the operator granted under this name.
    pub fn open(name: &str) -> Result<Self, Error> {
        host::Bucket::open(name).map(Self)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.0.get(key)
    }

    /// The value of a key, read as JSON.
    pub fn get_json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let value = self.get(key)?;
        value.as_deref().map(read).transpose()
    }

    /// Sets the value of a key.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.0.set(key, value)
    }

    /// Sets the value of a key, written as JSON.
    pub fn set_json<T: Serialize>(&self, key: &str, value: &T) -> Result<(), Error> {
        self.set(key, &write(value)?)
    }

    /// Removes a key. Removing what is not there succeeds.
    pub fn delete(&self, key: &str) -> Result<(), Error> {
        self.0.delete(key)
    }

    /// Whether the key has a value.
    pub fn exists(&self, key: &str) -> Result<bool, Error> {
        self.0.exists(key)
    }

    /// Every key, in order.
    pub fn keys(&self) -> Result<Vec<String>, Error> {
        self.0.keys()
    }

    /// Adds to a decimal number, which starts at 0, and gives the sum. Atomic.
    pub fn increment(&self, key: &str, delta: i64) -> Result<i64, Error> {
        self.0.increment(key, delta)
    }

    /// Replaces a JSON value by what `change` makes of it, and gives what else `change` returns.
    ///
    /// Atomic: if somebody else wrote meanwhile, `change` is called again with the newer value,
    /// so it must do nothing else.
    pub fn update_json<T, R>(
        &self,
        key: &str,
        mut change: impl FnMut(Option<T>) -> (T, R),
    ) -> Result<R, Error>
    where
        T: DeserializeOwned + Serialize,
    {
        let (mut swap, mut current) = self.0.read_to_swap(key)?;
        loop {
            let value = current.as_deref().map(read).transpose()?;
            let (value, result) = change(value);
            match swap.swap(&write(&value)?)? {
                None => return Ok(result),
                Some((again, newer)) => (swap, current) = (again, newer),
            }
        }
    }
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(value).map_err(|error| Error::Json(error.to_string()))
}

fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Json(error.to_string()))
}
