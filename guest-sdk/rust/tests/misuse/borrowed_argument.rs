use endpointd_guest::endpoint;

#[derive(Default)]
struct Leases;

#[endpoint(version = "1.0")]
impl Leases {
    pub fn take(&self, context: &endpointd_guest::Context, host: &str) {}
}

fn main() {}
