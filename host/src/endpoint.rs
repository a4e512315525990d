//! The seam between the server and whatever answers: a plugin, or native code.

pub mod ping;
pub mod place;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use serde_json::value::RawValue;

use self::place::Place;
use crate::protocol::failure::Failure;
use crate::protocol::json::Json;
use crate::protocol::target::EndpointTarget;

/// Something that answers the methods of one target.
#[async_trait]
pub trait Endpoint: Send + Sync {
    /// The namespace, version and methods this endpoint serves.
    fn target(&self) -> &EndpointTarget;

    /// Who serves it, for the log.
    fn name(&self) -> &str;

    /// Which generation of it, for the log: what is replaced while it runs has a new one.
    fn generation(&self) -> &str;

    /// Answers one call. Dropping the future abandons the work.
    async fn invoke(&self, call: Call<'_>) -> Result<Json, Failure>;
}

/// A request that found its endpoint.
#[derive(Debug)]
pub struct Call<'a> {
    pub namespace: Option<&'a str>,
    pub version: &'a str,
    pub method: &'a str,
    /// An object.
    pub args: &'a RawValue,
    /// An object.
    pub context: &'a RawValue,
    pub id: &'a str,
    pub delivery: Delivery,
    /// When the caller stops waiting, where it is known.
    pub deadline: Option<Instant>,
    /// How many plugins, one calling the next, led to it.
    pub depth: u32,
    /// Its place in the pool, to be lent while it waits for the reply of others.
    pub place: Arc<Place>,
}

/// Whether anybody waits for the result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivery {
    Call,
    Cast,
}

/// What serves each topic at one moment.
pub type ByTopic = BTreeMap<String, Endpoints>;

/// What serves a topic at one moment, in the order in which dispatch tries it.
#[derive(Clone, Default)]
pub struct Endpoints(Arc<[Arc<dyn Endpoint>]>);

impl Endpoints {
    /// The highest version comes first; equals keep the order they are given in.
    pub fn new(mut endpoints: Vec<Arc<dyn Endpoint>>) -> Self {
        endpoints.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.target().version));
        Self(endpoints.into())
    }

    /// These, and `endpoint` when none of them answers.
    pub fn followed_by(&self, endpoint: Arc<dyn Endpoint>) -> Self {
        Self(self.0.iter().cloned().chain([endpoint]).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Endpoint>> {
        self.0.iter()
    }
}
