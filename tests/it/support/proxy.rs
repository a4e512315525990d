//! A proxy in front of a broker that breaks when a test wants it to.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub(crate) struct Proxy {
    port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Passes on whatever connects to `target`, a port of this machine.
    pub(crate) fn start(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let proxy = Self {
            port: listener.local_addr().expect("an address").port(),
            open: Arc::default(),
        };
        let open = Arc::clone(&proxy.open);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A broker that is down is seen as such.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", target)) {
                    let mut open = open.lock().expect("no panic");
                    for (from, to) in [(&client, &server), (&server, &client)] {
                        let handle = || (from.try_clone(), to.try_clone());
                        let (Ok(from), Ok(to)) = handle() else {
                            continue;
                        };
                        std::thread::spawn(move || pass(from, to));
                    }
                    open.extend([client, server]);
                }
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("rabbit://guest:guest@127.0.0.1:{}/", self.port)
    }

    /// Breaks every connection; new ones are passed on.
    pub(crate) fn cut(&self) {
        for stream in self.open.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
