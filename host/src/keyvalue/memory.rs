//! A bucket inside the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Change, KEYS_PER_PAGE, KeyValue, KeyValueError, NewValue, Written};

/// The `memory` backend.
#[derive(Debug, Default)]
pub struct MemoryBucket {
    values: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryBucket {
    fn values(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        // Each change is one map operation, so a panic elsewhere leaves no half of it.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyValue for MemoryBucket {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        Ok(self.values().get(key).cloned())
    }

    async fn keys(&self, after: Option<&str>) -> Result<Vec<String>, KeyValueError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let values = self.values();
        let page = values.range::<str, _>((start, Bound::Unbounded));
        Ok(page
            .take(KEYS_PER_PAGE)
            .map(|(key, _)| key.clone())
            .collect())
    }

    async fn write(&self, key: &str, change: Change) -> Result<Written, KeyValueError> {
        let mut values = self.values();
        let (value, written) = change.apply(values.get(key).map(Vec::as_slice))?;
        match value {
            NewValue::Unchanged => {}
            NewValue::Removed => {
                values.remove(key);
            }
            NewValue::Set(value) => {
                values.insert(key.to_owned(), value);
            }
        }
        Ok(written)
    }
}
