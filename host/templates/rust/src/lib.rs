//! What the plugin answers. Every `pub fn` under `#[endpoint]` is a method.

use endpointd_guest::{Result, builtins, config, endpoint, log};

#[derive(Default)]
struct Greeter;

#[endpoint(version = "1.0")]
impl Greeter {
    /// Callers use `greet(name="Ada")`.
    pub fn greet(&self, name: String) -> Result<String> {
        if name.is_empty() {
            return Err(builtins::value_error("a name is needed"));
        }
        log::info(format!("greeting {name}"));
        let greeting = config::get("greeting").unwrap_or_else(|| "Hello".to_owned());
        Ok(format!("{greeting}, {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_a_name_is_greeted() {
        assert_eq!(Greeter.greet("Ada".to_owned()), Ok("Hello, Ada".to_owned()));
        assert!(Greeter.greet(String::new()).is_err());
    }
}
