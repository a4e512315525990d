//! A bucket in an embedded database file.
//!
//! A write returns when it is on disk. One thread does all writing: it takes whatever is waiting
//! into one transaction, so that calls in flight share one flush, and none waits for a second.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition};
use tokio::sync::{mpsc, oneshot};

use super::{Change, KEYS_PER_PAGE, KeyValue, KeyValueError, NewValue, Written};

const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");
/// Writes that may wait for the next flush; further ones wait to be queued.
const WAITING_WRITES: usize = 1024;

/// The `file` backend.
pub struct FileBucket {
    database: Arc<Database>,
    path: Arc<str>,
    writes: mpsc::Sender<Write>,
}

struct Write {
    key: String,
    change: Change,
    done: oneshot::Sender<Result<Written, KeyValueError>>,
}

impl FileBucket {
    /// Opens the file, or makes it. Only one process may have it open.
    pub fn open(path: &Path) -> Result<Self, KeyValueError> {
        let shown: Arc<str> = path.display().to_string().into();
        let failed = |reason: String| KeyValueError::File {
            path: shown.to_string(),
            reason,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        }
        let database = Database::create(path).map_err(|error| failed(error.to_string()))?;
        // Made at once, so that a read of a new bucket finds its table.
        let transaction = database
            .begin_write()
            .map_err(|error| failed(error.to_string()))?;
        transaction
            .open_table(VALUES)
            .map_err(|error| failed(error.to_string()))?;
        transaction
            .commit()
            .map_err(|error| failed(error.to_string()))?;

        let database = Arc::new(database);
        let (writes, waiting) = mpsc::channel(WAITING_WRITES);
        let writer = Writer {
            database: Arc::clone(&database),
            path: Arc::clone(&shown),
            waiting,
        };
        std::thread::Builder::new()
            .name("bucket-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            database,
            path: shown,
            writes,
        })
    }

    fn failed(&self, error: impl ToString) -> KeyValueError {
        KeyValueError::File {
            path: self.path.to_string(),
            reason: error.to_string(),
        }
    }
}

#[async_trait]
impl KeyValue for FileBucket {
    // Reads look at the last flushed state and block at most for a page that is not in memory.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| self.failed(error))?;
        let table = transaction
            .open_table(VALUES)
            .map_err(|error| self.failed(error))?;
        let value = table.get(key).map_err(|error| self.failed(error))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    async fn keys(&self, after: Option<&str>) -> Result<Vec<String>, KeyValueError> {
        let transaction = self
            .database
            .begin_read()
            .map_err(|error| self.failed(error))?;
        let table = transaction
            .open_table(VALUES)
            .map_err(|error| self.failed(error))?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = table
            .range::<&str>((start, Bound::Unbounded))
            .map_err(|error| self.failed(error))?;
        range
            .take(KEYS_PER_PAGE)
            .map(|entry| match entry {
                Ok((key, _)) => Ok(key.value().to_owned()),
                Err(error) => Err(self.failed(error)),
            })
            .collect()
    }

    async fn write(&self, key: &str, change: Change) -> Result<Written, KeyValueError> {
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

struct Writer {
    database: Arc<Database>,
    path: Arc<str>,
    waiting: mpsc::Receiver<Write>,
}

impl Writer {
    /// Ends when the bucket is dropped.
    fn run(mut self) {
        while let Some(first) = self.waiting.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < WAITING_WRITES
                && let Ok(next) = self.waiting.try_recv()
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
        let answers = match self.apply_all(changes) {
            Ok(answers) => answers,
            Err(error) => {
                let failed = KeyValueError::File {
                    path: self.path.to_string(),
                    reason: error.to_string(),
                };
                vec![Err(failed); waiting.len()]
            }
        };
        for (done, answer) in waiting.into_iter().zip(answers) {
            // A caller that has given up does not want it.
            let _ = done.send(answer);
        }
    }

    /// One transaction, on disk when this returns. Each write has an answer of its own.
    fn apply_all(
        &self,
        changes: Vec<(String, Change)>,
    ) -> Result<Vec<Result<Written, KeyValueError>>, redb::Error> {
        let transaction = self.database.begin_write()?;
        let mut answers = Vec::with_capacity(changes.len());
        {
            let mut table = transaction.open_table(VALUES)?;
            for (key, change) in changes {
                answers.push(apply(&mut table, &key, change)?);
            }
        }
        transaction.commit()?;
        Ok(answers)
    }
}

/// The inner error is the write's own; the outer one ends the batch.
fn apply(
    table: &mut Table<'_, &'static str, &'static [u8]>,
    key: &str,
    change: Change,
) -> Result<Result<Written, KeyValueError>, redb::Error> {
    let current = table.get(key)?.map(|value| value.value().to_vec());
    let (value, written) = match change.apply(current.as_deref()) {
        Ok(applied) => applied,
        Err(error) => return Ok(Err(error)),
    };
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
