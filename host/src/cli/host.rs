//! The admin listener of a running host, as commands reach it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::json;
use toml::Table;

use super::road::{DEFAULT_VIA, VIA, host_agent, host_url};
use crate::admin::Outcome;
use crate::config::{Config, DEFAULT_FILE, Sources};

/// A reload waits for files that are being written, and for compiling.
const PATIENCE: Duration = Duration::from_secs(120);

/// Which host.
#[derive(Debug, Args)]
pub struct Host {
    /// The URL of its admin listener. Else ENDPOINTD_VIA, else what endpointd.toml says, if there is
    /// one here, else http://127.0.0.1:9797
    #[arg(long, value_name = "URL")]
    via: Option<String>,
}

impl Host {
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = self.url()?;
        read(&url, agent().get(format!("{url}{path}")).call())
    }

    pub fn post<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = self.url()?;
        read(
            &url,
            agent().post(format!("{url}{path}")).send_json(json!({})),
        )
    }

    fn url(&self) -> anyhow::Result<String> {
        let via = self.via.clone().or_else(|| std::env::var(VIA).ok());
        let url = match via {
            Some(url) => url,
            None if Path::new(DEFAULT_FILE).exists() => {
                let sources = Sources {
                    file: None,
                    oslo_files: &[],
                    flags: Table::new(),
                };
                let environment = std::env::vars().filter(|(name, _)| name != VIA);
                let (config, _) = Config::load(sources, environment)?;
                format!("http://{}", config.admin.listen)
            }
            None => DEFAULT_VIA.to_owned(),
        };
        host_url(&url)
    }
}

fn agent() -> ureq::Agent {
    host_agent(Some(PATIENCE))
}

fn read<T: DeserializeOwned>(
    url: &str,
    answer: Result<http::Response<ureq::Body>, ureq::Error>,
) -> anyhow::Result<T> {
    let mut answer = answer.with_context(|| {
        format!("cannot reach a host at {url}: is `endpointd serve` running there?")
    })?;
    let status = answer.status();
    let text = answer.body_mut().read_to_string()?;
    if status.is_success() {
        return serde_json::from_str(&text)
            .with_context(|| format!("{url} answered with what is no answer of a host"));
    }
    match serde_json::from_str(&text) {
        Ok(Outcome::Error(problem)) => bail!("{problem}"),
        _ => bail!("{url} answered with status {status}: is it the admin listener of a host?"),
    }
}
