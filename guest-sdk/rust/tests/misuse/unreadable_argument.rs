//! An argument is read from JSON, so its type has to say how.

struct Lease;

#[derive(Default)]
struct Leases;

#[endpointd_guest::endpoint(version = "1.0")]
impl Leases {
    pub fn take(&self, host: String, lease: Lease) {
        drop((host, lease));
    }
}

fn main() {}
