//! A bucket in an embedded database file.
//!
//! A write returns when it is on disk. One thread does all writing: it takes whatever is waiting
//! into one transaction, so that calls in flight share one flush, and none waits for a second.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::{
    BucketLimits, Change, KEYS_PER_PAGE, KeyValue, KeyValueError, NewValue, Usage, Written,
};

const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");
/// What the bucket holds, which is counted when there is no entry yet.
const USAGE: TableDefinition<'_, &str, u64> = TableDefinition::new("usage");
const USED_BYTES: &str = "bytes";
/// Writes that may wait for the next flush; further ones wait to be queued.
const WAITING_WRITES: usize = 1024;

/// The `file` backend.
pub struct FileBucket {
    limits: BucketLimits,
    store: Arc<Store>,
    writes: mpsc::Sender<Write>,
}

struct Write {
    key: String,
    change: Change,
    done: oneshot::Sender<Result<Written, KeyValueError>>,
}

impl FileBucket {
    /// Opens the file, or makes it. Only one process may have it open.
    pub fn open(path: &Path, limits: BucketLimits) -> Result<Self, KeyValueError> {
        let store = Store {
            path: path.to_owned(),
            limits,
            database: RwLock::new(None),
            flushes: AtomicU64::new(0),
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| store.failed(error))?;
        }
        store.open().map_err(|error| match error {
            redb::Error::DatabaseAlreadyOpen => store.failed(
                "another process has it open: only one host can use a bucket file, so give this \
                 one a `data_dir` or `path` of its own",
            ),
            error => store.failed(error),
        })?;
        let store = Arc::new(store);
        let (writes, mut waiting) = mpsc::channel(WAITING_WRITES);
        let writer = Arc::clone(&store);
        std::thread::Builder::new()
            .name("bucket-writer".to_owned())
            .spawn(move || writer.write_all_of(&mut waiting))
            .map_err(|error| store.failed(error))?;
        Ok(Self {
            limits,
            store,
            writes,
        })
    }
}

#[async_trait]
impl KeyValue for FileBucket {
    // Reads look at the last flushed state and block at most for a page that is not in memory.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.store.with(|database| {
            let table = database.begin_read()?.open_table(VALUES)?;
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        })
    }

    async fn keys(&self, after: Option<&str>) -> Result<Vec<String>, KeyValueError> {
        self.store.with(|database| {
            let table = database.begin_read()?.open_table(VALUES)?;
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let mut keys = Vec::new();
            for entry in table
                .range::<&str>((start, Bound::Unbounded))?
                .take(KEYS_PER_PAGE)
            {
                keys.push(entry?.0.value().to_owned());
            }
            Ok(keys)
        })
    }

    async fn write(&self, key: &str, change: Change) -> Result<Written, KeyValueError> {
        self.limits.check(key, &change)?;
        let (done, outcome) = oneshot::channel();
        let write = Write {
            key: key.to_owned(),
            change,
            done,
        };
        self.writes
            .send(write)
            .await
            .map_err(|_| KeyValueError::Closed)?;
        outcome.await.map_err(|_| KeyValueError::Closed)?
    }
}

/// The file and its open database, which readers and the writer share.
struct Store {
    path: PathBuf,
    limits: BucketLimits,
    /// `None` while the file could not be opened again after a failure.
    database: RwLock<Option<Database>>,
    /// Transactions that reached the disk.
    flushes: AtomicU64,
}

impl Store {
    /// Opens the file in place of whatever was open.
    fn open(&self) -> Result<(), redb::Error> {
        let mut slot = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // The old one holds the file's lock, and after one failed write it fails for ever.
        *slot = None;
        let database = Database::create(&self.path)?;
        // Made at once, so that a read of a new bucket finds its table.
        let transaction = database.begin_write()?;
        {
            let values = transaction.open_table(VALUES)?;
            let mut usage = transaction.open_table(USAGE)?;
            if usage.get(USED_BYTES)?.is_none() {
                let mut bytes = 0;
                for entry in values.iter()? {
                    let (key, value) = entry?;
                    bytes += (key.value().len() + value.value().len()) as u64;
                }
                usage.insert(USED_BYTES, bytes)?;
            }
        }
        transaction.commit()?;
        *slot = Some(database);
        Ok(())
    }

    fn with<R>(
        &self,
        act: impl FnOnce(&Database) -> Result<R, redb::Error>,
    ) -> Result<R, KeyValueError> {
        let slot = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = slot.as_ref().ok_or(KeyValueError::Closed)?;
        act(database).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: impl ToString) -> KeyValueError {
        KeyValueError::File {
            path: self.path.display().to_string(),
            reason: error.to_string(),
        }
    }

    /// The writer's thread, until the bucket is dropped.
    fn write_all_of(&self, waiting: &mut mpsc::Receiver<Write>) {
        while let Some(first) = waiting.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < WAITING_WRITES
                && let Ok(next) = waiting.try_recv()
            {
                batch.push(next);
            }
            self.flush(batch);
        }
    }

    /// Applies the batch in order and answers each write once all are on disk.
    fn flush(&self, batch: Vec<Write>) {
        let (changes, waiting): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|write| ((write.key, write.change), write.done))
            .unzip();
        let answers = match self.with(|database| apply_all(database, &self.limits, changes)) {
            Ok(answers) => {
                self.flushes.fetch_add(1, Ordering::Relaxed);
                answers
            }
            Err(failed) => {
                error!("{failed}; what was written is safe, and the file is opened again");
                if let Err(problem) = self.open() {
                    error!("Cannot open {} again: {problem}", self.path.display());
                }
                vec![Err(failed); waiting.len()]
            }
        };
        for (done, answer) in waiting.into_iter().zip(answers) {
            // A caller that has given up does not want it.
            let _ = done.send(answer);
        }
    }
}

/// One transaction, on disk when this returns. Each write has an answer of its own.
fn apply_all(
    database: &Database,
    limits: &BucketLimits,
    changes: Vec<(String, Change)>,
) -> Result<Vec<Result<Written, KeyValueError>>, redb::Error> {
    let transaction = database.begin_write()?;
    let mut answers = Vec::with_capacity(changes.len());
    {
        let mut table = transaction.open_table(VALUES)?;
        let mut used = transaction.open_table(USAGE)?;
        let mut usage = Usage {
            keys: table.len()?,
            bytes: used.get(USED_BYTES)?.map_or(0, |bytes| bytes.value()),
        };
        for (key, change) in changes {
            answers.push(apply(&mut table, &mut usage, limits, &key, change)?);
        }
        used.insert(USED_BYTES, usage.bytes)?;
    }
    transaction.commit()?;
    Ok(answers)
}

/// The inner error is the write's own; the outer one ends the batch.
fn apply(
    table: &mut Table<'_, &'static str, &'static [u8]>,
    usage: &mut Usage,
    limits: &BucketLimits,
    key: &str,
    change: Change,
) -> Result<Result<Written, KeyValueError>, redb::Error> {
    let current = table.get(key)?.map(|value| value.value().to_vec());
    let (value, written) = match change.apply(current.as_deref()) {
        Ok(applied) => applied,
        Err(error) => return Ok(Err(error)),
    };
    let before = current.as_deref().map(<[u8]>::len);
    match usage.changed(limits, key, before, value.size(before)) {
        Ok(changed) => *usage = changed,
        Err(error) => return Ok(Err(error)),
    }
    match value {
        NewValue::Unchanged => {}
        NewValue::Removed => {
            table.remove(key)?;
        }
        NewValue::Set(value) => {
            table.insert(key, value.as_slice())?;
        }
    }
    Ok(Ok(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_in_flight_share_a_flush() {
        const WRITES: usize = 500;
        let folder = tempfile::tempdir().expect("a folder");
        let bucket = FileBucket::open(&folder.path().join("b.redb"), BucketLimits::default());
        let bucket = bucket.expect("a file");
        let writes = (0..WRITES).map(|_| bucket.write("n", Change::Increment(1)));
        futures_util::future::join_all(writes).await;
        assert_eq!(bucket.get("n").await.expect("read"), Some(b"500".to_vec()));
        let flushes = bucket.store.flushes.load(Ordering::Relaxed);
        // The first may go alone while the others gather.
        assert!(flushes < WRITES as u64 / 4, "{flushes} flushes");
    }

    #[tokio::test]
    async fn a_file_that_is_opened_again_has_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let bucket = FileBucket::open(&folder.path().join("b.redb"), BucketLimits::default());
        let bucket = bucket.expect("a file");
        bucket
            .write("k", Change::Set(b"v".to_vec()))
            .await
            .expect("written");
        bucket.store.open().expect("open again");
        assert_eq!(bucket.get("k").await.expect("read"), Some(b"v".to_vec()));
        bucket
            .write("k", Change::Set(b"w".to_vec()))
            .await
            .expect("written");
        assert_eq!(bucket.get("k").await.expect("read"), Some(b"w".to_vec()));
    }
}
