//! What is to be written on a connection: anybody puts it here, and the driver takes it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem::{replace, swap};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use futures_util::task::AtomicWaker;

use super::written::{Teller, Written};

pub(super) struct Outgoing {
    state: Mutex<State>,
    driver: AtomicWaker,
    /// No frame may have more bytes.
    pub(super) largest_frame: usize,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// How many were put since the beginning, and how many of them are written.
    put: u64,
    written: u64,
    /// Who waits until that many are written.
    flushes: VecDeque<(u64, Teller)>,
    /// The socket, where bytes go to it as they are.
    socket: Option<TcpStream>,
    /// The driver has written all there was, and nothing was put or written since.
    is_quiet: bool,
    /// What went wrong where something was written without the driver.
    failed: Option<io::Error>,
    has_ended: bool,
}

impl Outgoing {
    pub(super) fn new(largest_frame: usize, socket: Option<TcpStream>) -> Self {
        Self {
            state: Mutex::new(State {
                socket,
                ..State::default()
            }),
            driver: AtomicWaker::new(),
            largest_frame,
        }
    }

    /// Has these bytes written, together and after all that were put before. Where nothing else is under way they
    /// are written here, so that no other thread is woken for it.
    pub(super) fn send(&self, bytes: &[u8]) {
        if !self.state().send(bytes) {
            self.driver.wake();
        }
    }

    /// Has all that `write` appends written, and nothing between. On a connection that was lost it is not.
    pub(super) fn put(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.state().put(write);
        self.driver.wake();
    }

    /// The same, and tells when all of it is written.
    pub(super) fn put_and_flush(&self, write: impl FnOnce(&mut Vec<u8>)) -> Written {
        let (teller, written) = Written::new();
        {
            let mut state = self.state();
            state.put(write);
            let until = state.put;
            match state.has_ended {
                false => state.flushes.push_back((until, teller)),
                true => drop(teller),
            }
        }
        self.driver.wake();
        written
    }

    /// Whom to wake for what is put from here on.
    pub(super) fn wakes(&self, driver: &Waker) {
        self.driver.register(driver);
    }

    /// Gives all that was put since the last time for `bytes`, which is empty. If it is empty then as well, there
    /// is nothing to write any more. Fails where writing without the driver did.
    pub(super) fn take(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut state = self.state();
        swap(bytes, &mut state.bytes);
        state.is_quiet = bytes.is_empty();
        state.failed.take().map_or(Ok(()), Err)
    }

    /// Nothing is to be written, until the driver takes it again.
    pub(super) fn hold(&self) {
        self.state().is_quiet = false;
    }

    /// So many more were written: tells those who wait for no more than that.
    pub(super) fn tell_written(&self, bytes: u64) {
        self.state().written += bytes;
        loop {
            // Whoever is told may put something: that is without the lock.
            let Some(teller) = self.state().next_written() else {
                return;
            };
            teller.tell_written();
        }
    }

    /// Nothing more is written.
    pub(super) fn end(&self) {
        let ended = {
            let mut state = self.state();
            let ended = State {
                has_ended: true,
                ..State::default()
            };
            replace(&mut *state, ended)
        };
        // Without the lock: this wakes who waited.
        drop(ended);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.has_ended {
            let before = self.bytes.len();
            write(&mut self.bytes);
            self.is_quiet = false;
            self.put += (self.bytes.len() - before) as u64;
        }
    }

    /// Puts the bytes; true if all of them are written.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let written = match &self.socket {
            Some(socket) if self.is_quiet => (&*socket).write(bytes).unwrap_or_else(|error| {
                if error.kind() != io::ErrorKind::WouldBlock {
                    self.failed = Some(error);
                }
                0
            }),
            _ => 0,
        };
        self.put(|all| all.extend_from_slice(&bytes[written..]));
        self.put += written as u64;
        self.written += written as u64;
        written == bytes.len()
    }

    fn next_written(&mut self) -> Option<Teller> {
        let (until, _) = self.flushes.front()?;
        if *until > self.written {
            return None;
        }
        self.flushes.pop_front().map(|(_, teller)| teller)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_is_written_at_once_overtakes_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let ours = TcpStream::connect(address).expect("a connection");
        ours.set_nonblocking(true).expect("it does not block");
        let (mut theirs, _) = listener.accept().expect("a connection");
        let outgoing = Outgoing::new(8192, Some(ours));
        let mut taken = Vec::new();
        let driver_has_all = |taken: &mut Vec<u8>| {
            taken.clear();
            outgoing.take(taken).expect("nothing failed");
        };

        // The driver has not been there yet.
        outgoing.send(b"1");
        driver_has_all(&mut taken);
        assert_eq!(taken, b"1");
        driver_has_all(&mut taken);
        // Nothing is under way.
        outgoing.send(b"2");
        let mut read = [0; 1];
        theirs.read_exact(&mut read).expect("it was written");
        assert_eq!(read, *b"2");
        // One at once is enough, until the driver has been there again.
        outgoing.send(b"3");
        driver_has_all(&mut taken);
        assert_eq!(taken, b"3");
        driver_has_all(&mut taken);
        // What was put before goes first, and all of both.
        outgoing.put(|bytes| bytes.push(b'4'));
        outgoing.send(b"5");
        driver_has_all(&mut taken);
        assert_eq!(taken, b"45");
        driver_has_all(&mut taken);
        // More than the kernel takes goes on where it took no more.
        let large: Vec<u8> = (0..20_000_000).map(|number: u32| number as u8).collect();
        outgoing.send(&large);
        driver_has_all(&mut taken);
        assert!(!taken.is_empty() && large.ends_with(&taken));
        let mut read = vec![0; large.len() - taken.len()];
        theirs.read_exact(&mut read).expect("it was written");
        assert!(large.starts_with(&read));
        // A peer that is gone is told to the driver.
        driver_has_all(&mut taken);
        drop(theirs);
        let failed = std::iter::repeat_with(|| {
            outgoing.send(b"6");
            taken.clear();
            let outcome = outgoing.take(&mut taken);
            taken.clear();
            outcome.and(outgoing.take(&mut taken))
        });
        assert!(failed.take(1000).any(|outcome| outcome.is_err()));
    }
}
