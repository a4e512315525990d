//! `wasi:keyvalue/store` and `wasi:keyvalue/atomics` on the buckets a plugin was granted.

use wasmtime::component::Resource;

use super::HostState;
use super::grants::Capability;
use super::limits::Limit;
use crate::bindings::wasi::keyvalue::atomics::{self, CasError};
use crate::bindings::wasi::keyvalue::store::{self, Error, KeyResponse};
use crate::keyvalue::{
    Change, Fingerprint, KEYS_PER_PAGE, KeyValueError, OpenBucket, PendingSwap, Written, check_key,
};

type Bucket = Resource<OpenBucket>;
type Cas = Resource<PendingSwap>;

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
        Ok(written.map_err(|error| self.error(error)))
    }

    /// What a guest is told of it. Where a bucket is, is the operator's to know.
    fn error(&self, error: KeyValueError) -> Error {
        let told = match &error {
            KeyValueError::NotANumber | KeyValueError::TooLarge(_) | KeyValueError::Closed => {
                return Error::Other(error.to_string());
            }
            KeyValueError::File { .. } => "the bucket's file cannot be used now",
            KeyValueError::Server { .. } => {
                "the bucket's server cannot be reached, or does not do it"
            }
        };
        self.allowance().warn(&format!("A bucket failed: {error}"));
        Error::Other(told.to_owned())
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
        Ok(bucket.0.get(&key).await.map_err(|error| self.error(error)))
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
        let value = bucket.0.get(&key).await;
        let value = value.map_err(|error| self.error(error));
        Ok(value.map(|value| value.is_some()))
    }

    async fn list_keys(
        &mut self,
        handle: Bucket,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<KeyResponse, Error>> {
        let bucket = self.bucket(&handle)?;
        let keys = bucket.0.keys(cursor.as_deref()).await;
        let keys = keys.map_err(|error| self.error(error));
        Ok(keys.map(|keys| KeyResponse {
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
            Err(error) => Ok(Err(CasError::StoreError(self.error(error)))),
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
        // The host keeps the key for as long as the guest keeps the handle.
        let current = match check_key(&key) {
            Ok(()) => bucket.0.get(&key).await,
            Err(too_large) => Err(too_large),
        };
        let current = match current {
            Ok(current) => current,
            Err(error) => return Ok(Err(self.error(error))),
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
