//! A well-behaved guest that shows the tests what reaches it and what it can do. Three endpoints,
//! so that the choice among them shows too.

use std::time::Duration;

use endpointd_guest::client::{self, Target};
use endpointd_guest::http::{self, Request};
use endpointd_guest::keyvalue::Bucket;
use endpointd_guest::{
    Context, Failure, Result, builtins, call_info, clock, config, endpoint, log, random,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Default)]
struct First;

#[endpoint(version = "1.4", export = false)]
impl First {
    pub fn which(&self) -> &'static str {
        "null 1.4"
    }

    pub fn who(&self) -> &'static str {
        "endpointd"
    }

    pub fn echo(&self, value: Value) -> Value {
        value
    }

    pub fn add(&self, a: i64, b: Option<i64>) -> i64 {
        a + b.unwrap_or(1)
    }

    pub fn everything(&self, #[kwargs] arguments: Map<String, Value>) -> Map<String, Value> {
        arguments
    }

    pub fn context(&self, context: &Context) -> Result<Value> {
        context.read()
    }

    pub fn call_info(&self) -> Value {
        json!({
            "id": call_info::id(),
            "delivery": format!("{:?}", call_info::delivery()),
            "remaining_ms": call_info::remaining().map(|left| left.as_millis() as u64),
            "uuid": random::uuid(),
        })
    }

    pub fn setting(&self, name: String) -> Option<String> {
        config::get(&name)
    }

    pub fn fail(&self, module: String, class: String, message: String) -> Result<()> {
        Err(Failure::new(module, class, message).with_kwarg("id", 7))
    }

    pub fn bad_value(&self) -> Result<()> {
        Err(builtins::value_error("bad value"))
    }

    pub fn panic(&self) {
        panic!("the probe panics");
    }

    pub fn log(&self, line: String) {
        log::info(line);
    }

    pub fn count(&self, key: String) -> Result<i64> {
        Ok(bucket()?.increment(&key, 1)?)
    }

    /// Counts by reading, changing and swapping, so that none is lost only if swaps are atomic.
    pub fn swap_count(&self, key: String) -> Result<u64> {
        Ok(bucket()?.update_json(&key, |count: Option<u64>| {
            let count = count.unwrap_or(0) + 1;
            (count, count)
        })?)
    }

    pub fn number(&self, key: String) -> Result<Option<u64>> {
        Ok(bucket()?.get_json(&key)?)
    }

    pub fn open(&self, bucket: String) -> Result<()> {
        Bucket::open(&bucket)?;
        Ok(())
    }

    /// Has servers of a topic run `count` with this key: every one, or any.
    pub fn tell(&self, topic: String, key: String, all: bool) -> Result<()> {
        let (to, args) = (Target::topic(topic).version("1.4"), json!({"key": key}));
        match all {
            true => client::fanout(&to, "count", &args)?,
            false => client::cast(&to, "count", &args)?,
        }
        Ok(())
    }

    /// Calls the method of this name of a topic's servers, and gives what it answered.
    pub fn ask(&self, #[kwargs] question: Question) -> Result<Value> {
        let mut to = Target::topic(question.topic);
        if let Some(server) = question.server {
            to = to.server(server);
        }
        if let Some(exchange) = question.exchange {
            to = to.exchange(exchange);
        }
        let mut to = to.prepare();
        if let Some(ms) = question.timeout_ms {
            to = to.timeout(Duration::from_millis(ms));
        }
        if let Some(context) = question.context {
            to = to.context(&Context::from_json(context.to_string()));
        }
        Ok(to.call(&question.name, &question.args)?)
    }

    /// The same, and what went wrong as its result.
    pub fn try_ask(&self, topic: String, name: String, args: Value) -> String {
        let answer = client::call::<Value>(&Target::topic(topic), &name, &args);
        match answer {
            Ok(result) => format!("Ok({result})"),
            Err(error) => format!("{error:?}"),
        }
    }

    /// Sends an HTTP request, as often as that, and tells of the last response.
    pub fn fetch(&self, url: String, body: Option<String>, times: Option<u32>) -> Result<Value> {
        for _ in 1..times.unwrap_or(1) {
            http::get(&url)?;
        }
        let response = match body {
            Some(body) => Request::post(url).body(body).send()?,
            None => http::get(url)?,
        };
        let headers = response.headers.iter();
        let mut echoes = headers.filter(|(name, _)| name == "x-echo");
        let echo = echoes
            .next()
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        Ok(json!({"status": response.status, "echo": echo, "body": response.text()?}))
    }

    /// Calls itself, through its topic, until it is `depth` deep; gives how deep it got.
    pub fn descend(&self, topic: String, depth: u32) -> Result<u32> {
        if depth == 0 {
            return Ok(0);
        }
        let args = json!({"topic": topic, "depth": depth - 1});
        let deeper: u32 = client::call(&Target::topic(topic), "descend", &args)?;
        Ok(deeper + 1)
    }

    /// Keeps a core busy.
    pub fn spin(&self, ms: u64) -> u64 {
        let end = clock::now() + Duration::from_millis(ms);
        while clock::now() < end {}
        ms
    }
}

/// What `ask` is to call.
#[derive(Deserialize)]
struct Question {
    topic: String,
    name: String,
    args: Value,
    server: Option<String>,
    exchange: Option<String>,
    timeout_ms: Option<u64>,
    context: Option<Value>,
}

#[derive(Default)]
struct Second;

#[endpoint(version = "2.0", export = false)]
impl Second {
    pub fn which(&self) -> &'static str {
        "null 2.0"
    }
}

#[derive(Default)]
struct Named;

#[endpoint(namespace = "named", version = "1.10", export = false)]
impl Named {
    pub fn which(&self) -> &'static str {
        "named 1.10"
    }
}

endpointd_guest::export!(First, Second, Named);

fn bucket() -> Result<Bucket> {
    Ok(Bucket::open("probe")?)
}
