//! Private Redis servers, which nobody reaches by the network.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{eventually, watchdog};

pub(crate) struct Redis {
    process: Child,
    folder: TempDir,
}

impl Redis {
    /// Starts a server without data and waits until it takes connections.
    pub(crate) fn start() -> Self {
        watchdog::watch();
        let folder = tempfile::tempdir().expect("a folder");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket", "socket"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is missing: run `make setup`, or `make test`, which does it");
        let redis = Self { process, folder };
        let socket = redis.folder.path().join("socket");
        eventually("Redis listens", || socket.exists().then_some(()));
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
