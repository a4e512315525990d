use endpointd_guest::endpoint;

#[derive(Default)]
struct Leases;

#[endpoint(version = "1.0")]
impl Leases {
    pub fn take(&self, #[kwargs] some: Vec<u8>, #[kwargs] others: Vec<u8>) {}
}

fn main() {}
