//! Any text as a `transport_url`: refused, or read as the same that its plain form is read as.

#![no_main]

use endpointd_fuzz::transport::url::{RabbitUrl, TransportUrl};
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The URL with all that may be left out written out, and all that may be encoded encoded.
fn written_out(url: &RabbitUrl) -> String {
    let hosts: Vec<_> = url
        .hosts
        .iter()
        .map(|host| {
            let name = match host.name.contains(':') {
                true => format!("[{}]", encoded(&host.name)),
                false => encoded(&host.name),
            };
            let (user, password) = (encoded(&host.user), encoded(&host.password));
            format!("{user}:{password}@{name}:{}", host.port)
        })
        .collect();
    let options = url.options.iter();
    let options: Vec<_> = options
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    let virtual_host = encoded(&url.virtual_host);
    format!(
        "rabbit://{}/{virtual_host}?{}",
        hosts.join(","),
        options.join("&")
    )
}

fuzz_target!(|text: &str| {
    match text.parse::<TransportUrl>() {
        Ok(TransportUrl::Rabbit(url)) => {
            assert!(!url.hosts.is_empty());
            // What was joined of several may be longer than one can be.
            if url.options.iter().all(|(_, value)| value.len() <= 255) {
                let again = written_out(&url).parse();
                assert_eq!(again, Ok(TransportUrl::Rabbit(url)));
            }
        }
        Ok(TransportUrl::Memory) => {}
        Err(error) => drop(error.to_string()),
    }
});
