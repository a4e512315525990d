//! `wasi:config/store`: a plugin's settings, and its secrets, which are read by name only and stand
//! in no list.

use std::io;

use tokio::task::spawn_blocking;

use super::HostState;
use crate::bindings::wasi::config::store::{Error, Host};

impl Host for HostState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        let settings = &self.allowance().settings;
        let Some(source) = settings.secrets.get(&key).cloned() else {
            return Ok(Ok(settings.plain.get(&key).cloned()));
        };
        let read = spawn_blocking(move || source.read()).await;
        Ok(match read.map_err(io::Error::other).flatten() {
            Ok(secret) => Ok(Some(secret)),
            Err(reason) => {
                // Where it is, is the operator's to know.
                let line = format!("The secret `{key}` cannot be read: {reason}");
                self.allowance().warn(&line);
                Err(Error::Io("the secret cannot be read now".to_owned()))
            }
        })
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        Ok(Ok(self
            .allowance()
            .settings
            .plain
            .clone()
            .into_iter()
            .collect()))
    }
}
