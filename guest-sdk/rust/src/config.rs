//! The settings that the operator gave in `[config]` of plugin.toml, and the secrets that `[secrets]`
//! names there.

use std::fmt::Display;
use std::str::FromStr;

use crate::{Failure, builtins, host};

/// The setting or the secret of this name. `None` also where a secret cannot be read now.
pub fn get(name: &str) -> Option<String> {
    host::config_get(name)
}

/// The setting of this name as another type, or `default` if there is none; a `ValueError` that
/// names it if it does not parse.
pub fn parsed<T: FromStr<Err: Display>>(name: &str, default: T) -> Result<T, Failure> {
    match get(name) {
        None => Ok(default),
        Some(text) => text.trim().parse().map_err(|error| {
            builtins::value_error(format!("setting `{name}` of the plugin is wrong: {error}"))
        }),
    }
}
