//! The seam to whatever keeps buckets: named key-value spaces that plugins share and that
//! outlive them.

pub mod file;
pub mod memory;
pub mod redis;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How many keys one page of a listing holds.
pub const KEYS_PER_PAGE: usize = 1000;

/// What a key may have at most.
pub const MAX_KEY_BYTES: usize = 1024;

/// One bucket's backend. Each operation is atomic, and durable when it returns if the backend is.
#[async_trait]
pub trait KeyValue: Send + Sync {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError>;

    /// Up to `KEYS_PER_PAGE` keys in order, from the first one after `after`.
    async fn keys(&self, after: Option<&str>) -> Result<Vec<String>, KeyValueError>;

    /// Changes one key.
    async fn write(&self, key: &str, change: Change) -> Result<Written, KeyValueError>;
}

/// What to do to a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    Set(Vec<u8>),
    /// Deleting what is not there succeeds.
    Delete,
    /// Adds to a decimal number; a missing one is 0.
    Increment(i64),
    /// Sets `value` if the key still holds the value that has this fingerprint, or none.
    Swap {
        expected: Option<Fingerprint>,
        value: Vec<u8>,
    },
}

/// Stands for a value that a guest has read: what the host keeps for it does not grow with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(value: &[u8]) -> Self {
        Self(Sha256::digest(value).into())
    }
}

/// What a change came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Written {
    Done,
    /// The number after an increment.
    Number(i64),
    /// A swap changed nothing: this is what the key holds.
    Conflict(Option<Vec<u8>>),
}

/// Refuses a key that no bucket takes.
pub fn check_key(key: &str) -> Result<(), KeyValueError> {
    match key.len() <= MAX_KEY_BYTES {
        true => Ok(()),
        false => Err(KeyValueError::TooLarge(format!(
            "the key has more than {MAX_KEY_BYTES} bytes"
        ))),
    }
}

/// What a bucket may hold.
#[derive(Clone, Copy, Debug)]
pub struct BucketLimits {
    pub keys: u64,
    pub value_bytes: usize,
    /// Of all keys and values together.
    pub total_bytes: u64,
}

impl Default for BucketLimits {
    fn default() -> Self {
        Self {
            keys: 1_000_000,
            value_bytes: 1024 * 1024,
            total_bytes: 1024 * 1024 * 1024,
        }
    }
}

impl BucketLimits {
    /// Refuses a key or a value that is too large whatever the bucket holds.
    fn check(&self, key: &str, change: &Change) -> Result<(), KeyValueError> {
        check_key(key)?;
        match change {
            Change::Set(value) | Change::Swap { value, .. } if value.len() > self.value_bytes => {
                Err(KeyValueError::TooLarge(format!(
                    "the value has more than the bucket's limit of {} KiB (max_value_kib)",
                    self.value_bytes / 1024
                )))
            }
            _ => Ok(()),
        }
    }

    fn too_many_keys(&self) -> KeyValueError {
        KeyValueError::TooLarge(format!(
            "the bucket has its {} keys and takes no other (max_keys)",
            self.keys
        ))
    }

    fn too_many_bytes(&self) -> KeyValueError {
        KeyValueError::TooLarge(format!(
            "the bucket has its {} MiB and takes no more (max_total_mib)",
            self.total_bytes / (1024 * 1024)
        ))
    }
}

/// What a bucket holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Usage {
    keys: u64,
    /// Of all keys and values together.
    bytes: u64,
}

impl Usage {
    /// What it holds when the key has a value of `after` bytes in place of one of `before`, or none; an
    /// error if it may not grow so far. To shrink is always right.
    fn changed(
        self,
        limits: &BucketLimits,
        key: &str,
        before: Option<usize>,
        after: Option<usize>,
    ) -> Result<Self, KeyValueError> {
        let size = |value: Option<usize>| value.map_or(0, |bytes| (key.len() + bytes) as u64);
        let count = |value: Option<usize>| u64::from(value.is_some());
        let changed = Self {
            keys: (self.keys + count(after)).saturating_sub(count(before)),
            bytes: (self.bytes + size(after)).saturating_sub(size(before)),
        };
        if changed.keys > self.keys && changed.keys > limits.keys {
            return Err(limits.too_many_keys());
        }
        if changed.bytes > self.bytes && changed.bytes > limits.total_bytes {
            return Err(limits.too_many_bytes());
        }
        Ok(changed)
    }
}

impl Change {
    /// The value that the key holds afterwards, if it changes, and what to report.
    fn apply(self, current: Option<&[u8]>) -> Result<(NewValue, Written), KeyValueError> {
        Ok(match self {
            Self::Set(value) => (NewValue::Set(value), Written::Done),
            Self::Delete => (NewValue::Removed, Written::Done),
            Self::Increment(delta) => {
                let number = current.map_or(Some(0), decimal);
                let sum = number.and_then(|number| number.checked_add(delta));
                let sum = sum.ok_or(KeyValueError::NotANumber)?;
                (
                    NewValue::Set(sum.to_string().into_bytes()),
                    Written::Number(sum),
                )
            }
            Self::Swap { expected, value } if expected == current.map(Fingerprint::of) => {
                (NewValue::Set(value), Written::Done)
            }
            Self::Swap { .. } => {
                let current = current.map(<[u8]>::to_vec);
                (NewValue::Unchanged, Written::Conflict(current))
            }
        })
    }
}

/// What a change does to the stored value.
enum NewValue {
    Unchanged,
    Removed,
    Set(Vec<u8>),
}

impl NewValue {
    /// Its size where there was one of `before` bytes.
    fn size(&self, before: Option<usize>) -> Option<usize> {
        match self {
            Self::Unchanged => before,
            Self::Removed => None,
            Self::Set(value) => Some(value.len()),
        }
    }
}

fn decimal(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Why a bucket could not be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeyValueError {
    #[error("bucket file {path}: {reason}")]
    File { path: String, reason: String },
    #[error("the value is not a decimal number of 64 bits, or would not be one")]
    NotANumber,
    /// Beyond one of the bucket's limits, which the text names.
    #[error("{0}")]
    TooLarge(String),
    #[error("the bucket server at {address} does not do it: {reason}")]
    Server { address: String, reason: String },
    #[error("the bucket is closed")]
    Closed,
}

/// A bucket's name, as `[keyvalue.NAME]` and `grants.keyvalue` have it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub struct BucketName(String);

impl BucketName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BucketName {
    type Error = String;

    /// Names become file names, so they are letters, digits, `_` and `-`.
    fn try_from(name: String) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        match !name.is_empty() && name.bytes().all(plain) {
            true => Ok(Self(name)),
            false => Err(format!(
                "`{name}` cannot name a bucket: use letters, digits, `_` and `-`"
            )),
        }
    }
}

/// A `[keyvalue.NAME]` table of endpointd.toml.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BucketConfig {
    /// `memory`: in this process, and gone with it. `file`: in a file of this host. `redis`: on a
    /// Redis server, for all hosts that have the bucket there under the same name.
    pub backend: Backend,
    /// Where the file is; `NAME.redb` in `data_dir` if it is not given.
    pub path: Option<PathBuf>,
    /// Where the Redis server is: `redis://[USER:PASSWORD@]HOST:PORT/DATABASE`. A password is better
    /// kept out of this file: ENDPOINTD_KEYVALUE__NAME__URL is the same.
    pub url: Option<String>,
    /// Keys that it may have.
    #[serde(default = "default_max_keys")]
    pub max_keys: u64,
    /// What one value may have.
    #[serde(default = "default_max_value_kib")]
    pub max_value_kib: u32,
    /// What all keys and values may have together.
    #[serde(default = "default_max_total_mib")]
    pub max_total_mib: u32,
}

fn default_max_keys() -> u64 {
    BucketLimits::default().keys
}

fn default_max_value_kib() -> u32 {
    (BucketLimits::default().value_bytes / 1024) as u32
}

fn default_max_total_mib() -> u32 {
    (BucketLimits::default().total_bytes / (1024 * 1024)) as u32
}

impl BucketConfig {
    pub fn limits(&self) -> BucketLimits {
        BucketLimits {
            keys: self.max_keys,
            value_bytes: self.max_value_kib as usize * 1024,
            total_bytes: u64::from(self.max_total_mib) * 1024 * 1024,
        }
    }
}

/// Where a bucket's content is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// In this process, and gone with it.
    Memory,
    /// In a file of this host, on disk before a write returns.
    File,
    /// On a Redis server, which several hosts may share.
    Redis,
}

/// Every configured bucket, open.
#[derive(Clone, Default)]
pub struct Buckets(Arc<BTreeMap<BucketName, Arc<dyn KeyValue>>>);

impl Buckets {
    pub fn new(buckets: impl IntoIterator<Item = (BucketName, Arc<dyn KeyValue>)>) -> Self {
        Self(Arc::new(buckets.into_iter().collect()))
    }

    pub fn get(&self, name: &BucketName) -> Option<&Arc<dyn KeyValue>> {
        self.0.get(name)
    }
}

/// A bucket that a guest opened.
#[derive(Clone)]
pub struct OpenBucket(pub Arc<dyn KeyValue>);

/// A value as a guest read it, to be swapped if it has not changed.
pub struct PendingSwap {
    pub bucket: OpenBucket,
    pub key: String,
    pub expected: Option<Fingerprint>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Redis server of one's own, which nobody reaches by the network.
    struct RedisServer {
        process: std::process::Child,
        folder: tempfile::TempDir,
    }

    impl RedisServer {
        fn start() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let process = std::process::Command::new("redis-server")
                .args(["--port", "0", "--save", "", "--unixsocket"])
                .arg(folder.path().join("socket"))
                .current_dir(folder.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .expect("redis-server is missing: run `make setup`, or `make test`, which does it");
            let server = Self { process, folder };
            let started = std::time::Instant::now();
            while !server.folder.path().join("socket").exists() {
                assert!(
                    started.elapsed().as_secs() < 30,
                    "redis-server does not start"
                );
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            server
        }

        fn bucket(&self, name: &str) -> Arc<dyn KeyValue> {
            self.limited_bucket(name, BucketLimits::default())
        }

        fn limited_bucket(&self, name: &str, limits: BucketLimits) -> Arc<dyn KeyValue> {
            let socket = format!("unix://{}", self.folder.path().join("socket").display());
            let bucket = redis::RedisBucket::new(&socket, name, limits);
            Arc::new(bucket.expect("a bucket"))
        }
    }

    impl Drop for RedisServer {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    /// What a backend needs for as long as it is used.
    type Kept = Option<Box<dyn std::any::Any>>;

    fn backends() -> Vec<(&'static str, Arc<dyn KeyValue>, Kept)> {
        limited_backends(BucketLimits::default())
    }

    fn limited_backends(limits: BucketLimits) -> Vec<(&'static str, Arc<dyn KeyValue>, Kept)> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("b.redb");
        let file = file::FileBucket::open(&path, limits).expect("a file");
        let server = RedisServer::start();
        let redis = server.limited_bucket("b", limits);
        vec![
            ("memory", Arc::new(memory::MemoryBucket::new(limits)), None),
            ("file", Arc::new(file), Some(Box::new(folder))),
            ("redis", redis, Some(Box::new(server))),
        ]
    }

    #[tokio::test]
    async fn a_bucket_takes_no_more_than_its_limits_on_every_backend() {
        let limits = BucketLimits {
            keys: 3,
            value_bytes: 1024,
            total_bytes: 1024 * 1024,
        };
        for (name, bucket, _kept) in limited_backends(limits) {
            let refused = |written: Result<Written, KeyValueError>, key: &str| match written {
                Err(KeyValueError::TooLarge(text)) => assert!(text.contains(key), "{name}: {text}"),
                other => panic!("{name}: {other:?}"),
            };
            let set =
                |key: &'static str, size: usize| bucket.write(key, Change::Set(vec![b'x'; size]));
            refused(set("k", 1025).await, "max_value_kib");
            let long = "k".repeat(MAX_KEY_BYTES + 1);
            refused(bucket.write(&long, Change::Increment(1)).await, "the key");
            for key in ["a", "b", "c"] {
                set(key, 1024).await.expect(name);
            }
            refused(set("d", 1).await, "max_keys");
            refused(bucket.write("d", Change::Increment(1)).await, "max_keys");
            let swap = Change::Swap {
                expected: None,
                value: b"x".to_vec(),
            };
            refused(bucket.write("d", swap).await, "max_keys");
            // What is there may change, and what went leaves room.
            set("a", 10).await.expect(name);
            bucket.write("b", Change::Delete).await.expect(name);
            bucket.write("d", Change::Increment(1)).await.expect(name);
            assert_eq!(bucket.keys(None).await.expect(name), ["a", "c", "d"]);
        }
        let limits = BucketLimits {
            keys: 100,
            value_bytes: 1024 * 1024,
            total_bytes: 3000,
        };
        for (name, bucket, _kept) in limited_backends(limits) {
            let set =
                |key: &'static str, size: usize| bucket.write(key, Change::Set(vec![b'x'; size]));
            set("a", 1499).await.expect(name);
            set("b", 1400).await.expect(name);
            let refused = set("b", 1500).await;
            let is_full = |written: &Result<Written, KeyValueError>| match written {
                Err(KeyValueError::TooLarge(text)) => text.contains("max_total_mib"),
                _ => false,
            };
            assert!(is_full(&refused), "{name}: {refused:?}");
            set("b", 1499).await.expect(name);
            let refused = set("c", 0).await;
            assert!(is_full(&refused), "{name}: {refused:?}");
            bucket.write("a", Change::Delete).await.expect(name);
            set("c", 1499).await.expect(name);
        }
    }

    #[tokio::test]
    async fn hosts_that_name_a_bucket_alike_on_one_server_share_it_and_no_other() {
        let server = RedisServer::start();
        let (one, same, other) = (server.bucket("a"), server.bucket("a"), server.bucket("b"));
        let increments = (0..200).map(|index| {
            let bucket = [&one, &same][index % 2];
            bucket.write("n", Change::Increment(1))
        });
        for written in futures_util::future::join_all(increments).await {
            written.expect("a number");
        }
        assert_eq!(same.get("n").await.expect("read"), Some(b"200".to_vec()));
        assert_eq!(other.get("n").await.expect("read"), None);
        assert!(other.keys(None).await.expect("read").is_empty());
        assert_eq!(one.keys(None).await.expect("read"), ["n"]);
    }

    #[tokio::test]
    async fn a_server_that_goes_away_is_an_error_in_time_and_is_found_again() {
        let server = RedisServer::start();
        let bucket = server.bucket("b");
        bucket.write("n", Change::Increment(1)).await.expect("1");
        let signal = |signal: &str| {
            let pid = server.process.id().to_string();
            let sent = std::process::Command::new("kill")
                .args([signal, &pid])
                .status();
            assert!(sent.expect("kill runs").success());
        };
        // It is there, and does not answer.
        signal("-STOP");
        let outcome = bucket.get("n").await;
        assert!(
            matches!(outcome, Err(KeyValueError::Server { .. })),
            "{outcome:?}"
        );
        signal("-CONT");
        let started = std::time::Instant::now();
        while bucket.get("n").await.ok() != Some(Some(b"1".to_vec())) {
            assert!(started.elapsed().as_secs() < 30, "it is not found again");
        }
        drop(server);
        let outcome = bucket.get("n").await;
        assert!(
            matches!(outcome, Err(KeyValueError::Server { .. })),
            "{outcome:?}"
        );
    }

    #[tokio::test]
    async fn what_is_written_is_read_on_every_backend() {
        for (name, bucket, _folder) in backends() {
            assert_eq!(bucket.get("k").await.expect(name), None);
            let set = Change::Set(b"v".to_vec());
            assert_eq!(bucket.write("k", set).await.expect(name), Written::Done);
            assert_eq!(bucket.get("k").await.expect(name), Some(b"v".to_vec()));
            for _ in 0..2 {
                let deleted = bucket.write("k", Change::Delete).await;
                assert_eq!(deleted.expect(name), Written::Done);
            }
            assert_eq!(bucket.get("k").await.expect(name), None);
        }
    }

    #[tokio::test]
    async fn increments_count_and_refuse_what_is_no_number_on_every_backend() {
        for (name, bucket, _folder) in backends() {
            for (delta, sum) in [(5, 5), (-7, -2)] {
                let written = bucket.write("n", Change::Increment(delta)).await;
                assert_eq!(written.expect(name), Written::Number(sum));
            }
            assert_eq!(bucket.get("n").await.expect(name), Some(b"-2".to_vec()));
            bucket
                .write("t", Change::Set(b"x".to_vec()))
                .await
                .expect(name);
            let refused = bucket.write("t", Change::Increment(1)).await;
            assert!(matches!(refused, Err(KeyValueError::NotANumber)), "{name}");
            bucket
                .write("n", Change::Increment(i64::MAX))
                .await
                .expect(name);
            let overflow = bucket.write("n", Change::Increment(i64::MAX)).await;
            assert!(matches!(overflow, Err(KeyValueError::NotANumber)), "{name}");
        }
    }

    #[tokio::test]
    async fn a_swap_needs_the_value_it_was_made_for_on_every_backend() {
        for (name, bucket, _folder) in backends() {
            let swap = |expected: Option<&str>, value: &str| Change::Swap {
                expected: expected.map(|text| Fingerprint::of(text.as_bytes())),
                value: value.as_bytes().to_vec(),
            };
            let first = bucket.write("k", swap(None, "a")).await;
            assert_eq!(first.expect(name), Written::Done);
            let stale = bucket.write("k", swap(None, "b")).await;
            assert_eq!(stale.expect(name), Written::Conflict(Some(b"a".to_vec())));
            let fresh = bucket.write("k", swap(Some("a"), "b")).await;
            assert_eq!(fresh.expect(name), Written::Done);
            assert_eq!(bucket.get("k").await.expect(name), Some(b"b".to_vec()));
        }
    }

    #[tokio::test]
    async fn of_many_swaps_at_once_one_wins_on_every_backend() {
        for (name, bucket, _folder) in backends() {
            let swaps = (0..64).map(|index: u8| {
                let bucket = Arc::clone(&bucket);
                let change = Change::Swap {
                    expected: None,
                    value: vec![index],
                };
                async move { bucket.write("k", change).await }
            });
            let written = futures_util::future::join_all(swaps).await;
            let won = written
                .into_iter()
                .filter(|written| matches!(written, Ok(Written::Done)))
                .count();
            assert_eq!(won, 1, "{name}");
        }
    }

    #[tokio::test]
    async fn keys_come_in_pages_and_in_order_on_every_backend() {
        for (name, bucket, _folder) in backends() {
            let writes = (0..KEYS_PER_PAGE + 5).map(|index| {
                let bucket = Arc::clone(&bucket);
                async move {
                    let key = format!("{index:05}");
                    bucket.write(&key, Change::Set(Vec::new())).await
                }
            });
            for written in futures_util::future::join_all(writes).await {
                written.expect(name);
            }
            let first = bucket.keys(None).await.expect(name);
            assert_eq!(first.len(), KEYS_PER_PAGE, "{name}");
            let rest = bucket
                .keys(first.last().map(String::as_str))
                .await
                .expect(name);
            assert_eq!(
                rest,
                ["01000", "01001", "01002", "01003", "01004"],
                "{name}"
            );
        }
    }

    #[test]
    fn a_bucket_name_is_safe_as_a_file_name() {
        for bad in ["", "../x", "a/b", "a b", "é"] {
            assert!(BucketName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
        assert!(BucketName::try_from("agents-2_x".to_owned()).is_ok());
    }
}
