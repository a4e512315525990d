//! An OpenTelemetry collector that keeps what it gets: OTLP over HTTP, in protobuf.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::eventually;

pub(crate) struct Collector {
    port: u16,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let collector = Self {
            port: listener.local_addr().expect("an address").port(),
            spans: Arc::default(),
        };
        let spans = Arc::clone(&collector.spans);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let spans = Arc::clone(&spans);
                std::thread::spawn(move || serve(&client, &spans));
            }
        });
        collector
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The span of this name, once it came.
    #[track_caller]
    pub(crate) fn span(&self, name: &str) -> Span {
        eventually(name, || {
            let spans = self.spans.lock().expect("no panic");
            spans.iter().find(|span| span.name == name).cloned()
        })
    }
}

/// Answers one request after the other.
fn serve(client: &TcpStream, spans: &Mutex<Vec<Span>>) {
    let mut reader = BufReader::new(client);
    loop {
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|count| count > 0) && line.trim() != "" {
            let header = line.to_ascii_lowercase();
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if length == 0 || reader.read_exact(&mut body).is_err() {
            return;
        }
        let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("OTLP");
        let scopes = request
            .resource_spans
            .into_iter()
            .flat_map(|resource| resource.scope_spans);
        let found = scopes.flat_map(|scope| scope.spans);
        spans.lock().expect("no panic").extend(found);
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        if (&mut &*client).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
