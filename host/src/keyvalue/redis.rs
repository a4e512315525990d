//! A bucket on a Redis server, for several hosts.
//!
//! The values of the bucket NAME are the fields of the hash `endpointd:{NAME}`; its keys stand once more in
//! the sorted set `endpointd:{NAME}:keys`, which has them in order. Both change in one step.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, RedisError, Script};

use super::{Change, Fingerprint, KEYS_PER_PAGE, KeyValue, KeyValueError, Written};

/// How long a connection may take, and an answer. A guest that is still there then gets an error.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often dialling is tried again for one operation.
const RETRIES: usize = 1;

/// Sets a field that holds a certain value, or nothing.
static SWAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('HGET', KEYS[1], ARGV[1])
         if ARGV[2] == '1' then
             if held ~= ARGV[3] then return 0 end
         elseif held then
             return 0
         end
         redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
         redis.call('ZADD', KEYS[2], 0, ARGV[1])
         return 1",
    )
});

/// The `redis` backend.
pub struct RedisBucket {
    connection: ConnectionManager,
    /// For errors, without user and password.
    address: String,
    values: String,
    keys: String,
}

impl RedisBucket {
    /// The bucket `name` on the server at `url`, which is dialled when it is first used. Errors say
    /// what is wrong with the URL, without it.
    pub fn new(url: &str, name: &str) -> Result<Self, String> {
        let client = Client::open(url).map_err(|error| error.to_string())?;
        let address = client.get_connection_info().addr().to_string();
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(RETRIES);
        let connection = ConnectionManager::new_lazy_with_config(client, config);
        Ok(Self {
            connection: connection.map_err(|error| error.to_string())?,
            address,
            values: format!("endpointd:{{{name}}}"),
            keys: format!("endpointd:{{{name}}}:keys"),
        })
    }

    fn error(&self, error: &RedisError) -> KeyValueError {
        let reason = error.to_string();
        // So says HINCRBY; it has no code of its own for that.
        match reason.contains("not an integer") || reason.contains("would overflow") {
            true => KeyValueError::NotANumber,
            false => KeyValueError::Server {
                address: self.address.clone(),
                reason,
            },
        }
    }

    async fn value(&self, key: &str) -> Result<Option<Vec<u8>>, RedisError> {
        self.connection.clone().hget(&self.values, key).await
    }

    async fn change(&self, key: &str, change: Change) -> Result<Written, RedisError> {
        let mut connection = self.connection.clone();
        let (values, keys) = (&self.values, &self.keys);
        let mut steps = redis::pipe();
        steps.atomic();
        match change {
            Change::Set(value) => {
                steps.hset(values, key, value).ignore();
                steps.zadd(keys, key, 0).ignore();
                steps.query_async::<()>(&mut connection).await?;
                Ok(Written::Done)
            }
            Change::Delete => {
                steps.hdel(values, key).ignore();
                steps.zrem(keys, key).ignore();
                steps.query_async::<()>(&mut connection).await?;
                Ok(Written::Done)
            }
            Change::Increment(delta) => {
                steps.hincr(values, key, delta);
                steps.zadd(keys, key, 0).ignore();
                let (sum,) = steps.query_async(&mut connection).await?;
                Ok(Written::Number(sum))
            }
            Change::Swap { expected, value } => loop {
                let held = self.value(key).await?;
                if expected != held.as_deref().map(Fingerprint::of) {
                    return Ok(Written::Conflict(held));
                }
                let mut swap = SWAP.prepare_invoke();
                swap.key(values).key(keys).arg(key);
                swap.arg(i32::from(held.is_some()))
                    .arg(held.unwrap_or_default())
                    .arg(&value);
                // Where somebody else was faster, what they wrote decides.
                if swap.invoke_async(&mut connection).await? {
                    return Ok(Written::Done);
                }
            },
        }
    }
}

#[async_trait]
impl KeyValue for RedisBucket {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.value(key).await.map_err(|error| self.error(&error))
    }

    async fn keys(&self, after: Option<&str>) -> Result<Vec<String>, KeyValueError> {
        let start = after.map_or("-".to_owned(), |after| format!("({after}"));
        let mut connection = self.connection.clone();
        let page = connection.zrangebylex_limit(&self.keys, start, "+", 0, KEYS_PER_PAGE as isize);
        page.await.map_err(|error| self.error(&error))
    }

    async fn write(&self, key: &str, change: Change) -> Result<Written, KeyValueError> {
        let changing = self.change(key, change);
        changing.await.map_err(|error| self.error(&error))
    }
}
