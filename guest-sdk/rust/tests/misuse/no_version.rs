use endpointd_guest::endpoint;

#[derive(Default)]
struct Leases;

#[endpoint(namespace = "leases")]
impl Leases {
    pub fn take(&self) {}
}

fn main() {}
