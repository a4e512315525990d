//! The host's parsers, mounted from its sources: alone they build in seconds.

#[path = "../../host/src/protocol"]
pub mod protocol {
    pub mod compression;
    pub mod envelope;
    pub mod failure;
    pub mod json;
    pub mod reply;
    pub mod request;
    pub mod target;
}

#[path = "../../host/src/transport"]
pub mod transport {
    pub mod url;
}
