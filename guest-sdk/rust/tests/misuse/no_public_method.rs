use endpointd_guest::endpoint;

#[derive(Default)]
struct Leases;

#[endpoint(version = "1.0")]
impl Leases {
    fn take(&self) {}
}

fn main() {}
