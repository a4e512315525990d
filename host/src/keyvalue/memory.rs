//! A bucket inside the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    BucketLimits, Change, KEYS_PER_PAGE, KeyValue, KeyValueError, NewValue, Usage, Written,
};

/// The `memory` backend.
#[derive(Debug, Default)]
pub struct MemoryBucket {
    limits: BucketLimits,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    values: BTreeMap<String, Vec<u8>>,
    usage: Usage,
}

impl MemoryBucket {
    pub fn new(limits: BucketLimits) -> Self {
        Self {
            limits,
            content: Mutex::default(),
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Each change is one map operation, so a panic elsewhere leaves no half of it.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyValue for MemoryBucket {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        Ok(self.content().values.get(key).cloned())
    }

    async fn keys(&self, after: Option<&str>) -> Result<Vec<String>, KeyValueError> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let content = self.content();
        let page = content.values.range::<str, _>((start, Bound::Unbounded));
        Ok(page
            .take(KEYS_PER_PAGE)
            .map(|(key, _)| key.clone())
            .collect())
    }

    async fn write(&self, key: &str, change: Change) -> Result<Written, KeyValueError> {
        self.limits.check(key, &change)?;
        let mut content = self.content();
        let current = content.values.get(key).map(Vec::as_slice);
        let before = current.map(<[u8]>::len);
        let (value, written) = change.apply(current)?;
        let after = value.size(before);
        content.usage = content.usage.changed(&self.limits, key, before, after)?;
        match value {
            NewValue::Unchanged => {}
            NewValue::Removed => {
                content.values.remove(key);
            }
            NewValue::Set(value) => {
                content.values.insert(key.to_owned(), value);
            }
        }
        Ok(written)
    }
}
