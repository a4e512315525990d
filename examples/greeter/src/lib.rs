//! The example of the README: a plugin with two methods, a setting, a bucket and a test.

use endpointd_guest::keyvalue::Bucket;
use endpointd_guest::{Context, Result, builtins, config, endpoint};
use serde::Serialize;

#[derive(Default)]
struct Greeter;

#[derive(Serialize)]
struct Greeted {
    name: String,
    times: i64,
}

#[endpoint(version = "1.0")]
impl Greeter {
    /// Callers use `greet(name="Ada")`.
    pub fn greet(&self, context: &Context, name: String) -> Result<String> {
        if name.is_empty() {
            return Err(builtins::value_error("a name is needed"));
        }
        Bucket::open("greeted")?.increment(&name, 1)?;
        let greeting = config::get("greeting").unwrap_or_else(|| "Good day".to_owned());
        Ok(match context.text("user") {
            Some(user) => format!("{greeting}, {name}, from {user}"),
            None => format!("{greeting}, {name}"),
        })
    }

    /// How often somebody was greeted; everybody, if no name is given.
    pub fn greeted(&self, name: Option<String>) -> Result<Vec<Greeted>> {
        let bucket = Bucket::open("greeted")?;
        let names = match name {
            Some(name) => vec![name],
            None => bucket.keys()?,
        };
        let count = |name: String| {
            let times = bucket.get_json(&name)?.unwrap_or(0);
            Ok(Greeted { name, times })
        };
        names.into_iter().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_greeted_is_counted() {
        endpointd_guest::testing::set_config("greeting", "Hi");
        let ada = || Greeter.greet(&Context::default(), "Ada".to_owned());
        assert_eq!(ada(), Ok("Hi, Ada".to_owned()));
        assert_eq!(ada(), Ok("Hi, Ada".to_owned()));
        let greeted = Greeter.greeted(None).expect("a list");
        assert_eq!((greeted[0].name.as_str(), greeted[0].times), ("Ada", 2));
    }
}
