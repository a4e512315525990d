use endpointd_guest::endpoint;

#[derive(Default)]
struct Leases;

#[endpoint(version = "1.0")]
impl Clone for Leases {
    fn clone(&self) -> Self {
        Leases
    }
}

fn main() {}
