//! A bucket on a Redis server, for several hosts.
//!
//! The values of the bucket NAME are the fields of the hash `endpointd:{NAME}`; its keys stand once more in
//! the sorted set `endpointd:{NAME}:keys`, which has them in order, and `endpointd:{NAME}:bytes` is what
//! keys and values have together. All change in one step, in the server.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, RedisError, Script};

use super::{BucketLimits, Change, Fingerprint, KEYS_PER_PAGE, KeyValue, KeyValueError, Written};

/// How long a connection may take, and an answer. A guest that is still there then gets an error.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often dialling is tried again for one operation.
const RETRIES: usize = 1;

/// Changes one field. Arguments: what to do, the field, how many keys and bytes there may be, the value
/// or what to add, and for a swap whether a value is expected and which. Gives `conflict`, `keys` or
/// `bytes` where it changed nothing, the sum after an increment, and else `done`.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local values, keys, total = KEYS[1], KEYS[2], KEYS[3]
         local action, field, value = ARGV[1], ARGV[2], ARGV[5]
         local most_keys, most_bytes = tonumber(ARGV[3]), tonumber(ARGV[4])
         local held = redis.call('HGET', values, field)
         if action == 'swap' then
             if ARGV[6] == '1' then
                 if held ~= ARGV[7] then return 'conflict' end
             elseif held then
                 return 'conflict'
             end
         end
         if action == 'delete' and not held then return 'done' end
         local count = redis.call('HLEN', values)
         local bytes = count > 0 and tonumber(redis.call('GET', total) or '') or nil
         if not bytes then
             bytes = 0
             for _, name in ipairs(redis.call('HKEYS', values)) do
                 bytes = bytes + #name + redis.call('HSTRLEN', values, name)
             end
             redis.call('SET', total, bytes)
         end
         local before = held and #field + #held or 0
         local after = 0
         if action == 'increment' then
             -- One digit more, or the longest number.
             after = held and before + 1 or #field + 20
         elseif action ~= 'delete' then
             after = #field + #value
         end
         if not held and count >= most_keys then return 'keys' end
         if after > before and bytes + after - before > most_bytes then return 'bytes' end
         local outcome = 'done'
         if action == 'delete' then
             redis.call('HDEL', values, field)
             redis.call('ZREM', keys, field)
         else
             if action == 'increment' then
                 redis.call('HINCRBY', values, field, value)
                 -- As text: the numbers of this language are not exact enough.
                 outcome = redis.call('HGET', values, field)
                 after = #field + #outcome
             else
                 redis.call('HSET', values, field, value)
             end
             redis.call('ZADD', keys, 0, field)
         end
         redis.call('SET', total, bytes + after - before)
         return outcome",
    )
});

/// The `redis` backend.
pub struct RedisBucket {
    connection: ConnectionManager,
    /// For errors, without user and password.
    address: String,
    values: String,
    keys: String,
    total: String,
    limits: BucketLimits,
}

impl RedisBucket {
    /// The bucket `name` on the server at `url`, which is dialled when it is first used. Errors say
    /// what is wrong with the URL, without it.
    pub fn new(url: &str, name: &str, limits: BucketLimits) -> Result<Self, String> {
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
            total: format!("endpointd:{{{name}}}:bytes"),
            limits,
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

    /// Runs the script that changes the field `key`.
    async fn run(
        &self,
        action: &str,
        key: &str,
        value: &[u8],
        expected: Option<&[u8]>,
    ) -> Result<String, RedisError> {
        let mut script = WRITE.prepare_invoke();
        script.key(&self.values).key(&self.keys).key(&self.total);
        script.arg(action).arg(key);
        script.arg(self.limits.keys).arg(self.limits.total_bytes);
        script.arg(value).arg(i32::from(expected.is_some()));
        script.arg(expected.unwrap_or_default());
        script.invoke_async(&mut self.connection.clone()).await
    }

    async fn change(&self, key: &str, change: Change) -> Result<Written, KeyValueError> {
        let failed = |error: RedisError| self.error(&error);
        let outcome = match change {
            Change::Set(value) => self.run("set", key, &value, None).await,
            Change::Delete => self.run("delete", key, b"", None).await,
            Change::Increment(delta) => {
                let delta = delta.to_string();
                self.run("increment", key, delta.as_bytes(), None).await
            }
            Change::Swap { expected, value } => loop {
                let held = self.value(key).await.map_err(failed)?;
                if expected != held.as_deref().map(Fingerprint::of) {
                    return Ok(Written::Conflict(held));
                }
                let swapped = self.run("swap", key, &value, held.as_deref()).await;
                // Where somebody else was faster, what they wrote decides.
                if swapped.as_deref().ok() != Some("conflict") {
                    break swapped;
                }
            },
        };
        match outcome.map_err(failed)?.as_str() {
            "done" => Ok(Written::Done),
            "keys" => Err(self.limits.too_many_keys()),
            "bytes" => Err(self.limits.too_many_bytes()),
            sum => match sum.parse() {
                Ok(sum) => Ok(Written::Number(sum)),
                Err(_) => Err(KeyValueError::NotANumber),
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
        self.limits.check(key, &change)?;
        self.change(key, change).await
    }
}
