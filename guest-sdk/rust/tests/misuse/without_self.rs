use endpointd_guest::endpoint;

#[derive(Default)]
struct Leases;

#[endpoint(version = "1.0")]
impl Leases {
    pub fn take(host: String) {}
}

fn main() {}
