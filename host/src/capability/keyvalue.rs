//! `wasi:keyvalue/store` and `wasi:keyvalue/atomics` on the buckets a plugin was granted.

use tracing::warn;
use wasmtime::component::Resource;

use super::HostState;
use super::grants::Capability;
use super::limits::Limit;
use crate::bindings::wasi::keyvalue::atomics::{self, CasError};
use crate::bindings::wasi::keyvalue::store::{self, Error, KeyResponse};
use crate::keyvalue::{
    Change, Fingerprint, KEYS_PER_PAGE, KeyValueError, OpenBucket, PendingSwap, Written,
};

type Bucket = Resource<OpenBucket>;
type Cas = Resource<PendingSwap>;

impl From<KeyValueError> for Error {
    fn from(error: KeyValueError) -> Self {
        // Where a bucket is, is the operator's to know.
        Self::Other(match error {
            KeyValueError::NotANumber | KeyValueError::TooLarge(_) | KeyValueError::Closed => {
                error.to_string()
            }
            KeyValueError::File { .. } => {
                warn!("A bucket failed: {error}");
                "the bucket's file cannot be used now".to_owned()
            }
            KeyValueError::Server { .. } => {
                warn!("A bucket failed: {error}");
                "the bucket's server cannot be reached, or does not do it".to_owned()
            }
        })
    }
}

impl HostState {
    fn bucket(&self, handle: &Bucket) -> wasmtime::Result<OpenBucket> {
        Ok(self.table.get(handle)?.clone())
    }

    async fn write(
        &mut self,
        handle: &Bucket,
        key: &str,
        change: Change,
    ) -> wasmtime::Result<Result<Written, Error>> {
        let bucket = self.bucket(handle)?;
        let written = self.write_to(&bucket, key, change).await;
        Ok(written.map_err(Error::from))
    }

    async fn write_to(
        &mut self,
        bucket: &OpenBucket,
        key: &str,
        change: Change,
    ) -> Result<Written, KeyValueError> {
        let written = bucket.0.write(key, change).await;
        if let Err(KeyValueError::TooLarge(_)) = written {
            self.allowance().meter.reached(Limit::Bucket);
        }
        written
    }
}

impl store::Host for HostState {
    async fn open(&mut self, identifier: String) -> wasmtime::Result<Result<Bucket, Error>> {
        let allowance = self.allowance();
        match allowance.granted.buckets.get(&identifier) {
            Some(bucket) => Ok(Ok(self.table.push(OpenBucket(bucket.clone()))?)),
            None => {
                allowance.deny("wasi:keyvalue/store#open", Capability::KeyValue);
                Ok(Err(Error::AccessDenied))
            }
        }
    }
}

impl store::HostBucket for HostState {
    async fn get(
        &mut self,
        handle: Bucket,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let bucket = self.bucket(&handle)?;
        Ok(bucket.0.get(&key).await.map_err(Error::from))
    }

    async fn set(
        &mut self,
        handle: Bucket,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let written = self.write(&handle, &key, Change::Set(value)).await?;
        Ok(written.map(drop))
    }

    async fn delete(&mut self, handle: Bucket, key: String) -> wasmtime::Result<Result<(), Error>> {
        let written = self.write(&handle, &key, Change::Delete).await?;
        Ok(written.map(drop))
    }

    async fn exists(
        &mut self,
        handle: Bucket,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let bucket = self.bucket(&handle)?;
        let value = bucket.0.get(&key).await.map_err(Error::from);
        Ok(value.map(|value| value.is_some()))
    }

    async fn list_keys(
        &mut self,
        handle: Bucket,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<KeyResponse, Error>> {
        let bucket = self.bucket(&handle)?;
        let keys = bucket.0.keys(cursor.as_deref()).await;
        Ok(keys.map_err(Error::from).map(|keys| KeyResponse {
            cursor: match keys.len() {
                KEYS_PER_PAGE => keys.last().cloned(),
                _ => None,
            },
            keys,
        }))
    }

    async fn drop(&mut self, handle: Bucket) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl atomics::Host for HostState {
    async fn increment(
        &mut self,
        handle: Bucket,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, Error>> {
        let written = self.write(&handle, &key, Change::Increment(delta)).await?;
        Ok(written.and_then(|written| match written {
            Written::Number(sum) => Ok(sum),
            Written::Done | Written::Conflict(_) => {
                Err(Error::Other("the bucket gave no number".to_owned()))
            }
        }))
    }

    async fn swap(&mut self, cas: Cas, value: Vec<u8>) -> wasmtime::Result<Result<(), CasError>> {
        let PendingSwap {
            bucket,
            key,
            expected,
        } = self.table.delete(cas)?;
        let change = Change::Swap { expected, value };
        match self.write_to(&bucket, &key, change).await {
            Ok(Written::Conflict(current)) => {
                let retry = self.table.push(PendingSwap {
                    bucket,
                    key,
                    expected: current.as_deref().map(Fingerprint::of),
                })?;
                Ok(Err(CasError::CasFailed((retry, current))))
            }
            Ok(Written::Done | Written::Number(_)) => Ok(Ok(())),
            Err(error) => Ok(Err(CasError::StoreError(error.into()))),
        }
    }
}

impl atomics::HostCas for HostState {
    async fn new(&mut self, bucket: Bucket, key: String) -> wasmtime::Result<Result<Cas, Error>> {
        let read = self.new_with_read(bucket, key).await?;
        Ok(read.map(|(cas, _)| cas))
    }

    async fn new_with_read(
        &mut self,
        bucket: Bucket,
        key: String,
    ) -> wasmtime::Result<Result<(Cas, Option<Vec<u8>>), Error>> {
        let bucket = self.bucket(&bucket)?;
        let current = match bucket.0.get(&key).await {
            Ok(current) => current,
            Err(error) => return Ok(Err(error.into())),
        };
        let cas = self.table.push(PendingSwap {
            bucket,
            key,
            expected: current.as_deref().map(Fingerprint::of),
        })?;
        Ok(Ok((cas, current)))
    }

    async fn drop(&mut self, cas: Cas) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}
