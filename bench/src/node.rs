//! A private RabbitMQ node, as an operator has it: with all cores, on a port and in a folder of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The header that begins AMQP 0-9-1; a node that is ready answers it.
const HEADER: &[u8] = b"AMQP\0\0\x09\x01";

/// Ends when it is dropped.
pub(crate) struct Node {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Node {
    /// Starts one with its files in `folder`, which is made anew.
    pub(crate) fn start(workspace: &Path, folder: &Path) -> anyhow::Result<Self> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        let (port, dist_port) = (free_port()?, free_port()?);
        let log = fs::File::create(folder.join("output.log"))?;
        let process = Command::new(workspace.join("scripts/rabbitmq-node.sh"))
            .arg(folder)
            .args([port.to_string(), dist_port.to_string()])
            .env("ENDPOINTD_RABBITMQ_SCHEDULERS", "")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start scripts/rabbitmq-node.sh")?;
        let mut node = Self {
            process,
            folder: folder.to_owned(),
            port,
        };
        let until = Instant::now() + START_TIMEOUT;
        while !node.answers() {
            if let Some(status) = node.process.try_wait()? {
                bail!(
                    "RabbitMQ ended with {status}; see {}/output.log",
                    node.folder.display()
                );
            }
            if Instant::now() > until {
                bail!(
                    "RabbitMQ did not start; see {}/output.log",
                    node.folder.display()
                );
            }
            sleep(Duration::from_millis(200));
        }
        Ok(node)
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        let answered = stream
            .set_read_timeout(Some(Duration::from_secs(2)))
            .and_then(|()| stream.write_all(HEADER))
            .and_then(|()| stream.read_exact(&mut [0]));
        answered.is_ok()
    }

    /// For clients of AMQP.
    pub(crate) fn amqp_url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// For oslo.messaging and endpointd.
    pub(crate) fn transport_url(&self) -> String {
        format!("rabbit://guest:guest@127.0.0.1:{}/", self.port)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Its data are of no use to anybody.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
