use endpointd_guest::endpoint;

#[derive(Default)]
struct Leases;

#[endpoint(version = "1")]
impl Leases {
    pub fn take(&self) {}
}

fn main() {}
