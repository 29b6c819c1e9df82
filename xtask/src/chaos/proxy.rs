//! A TCP proxy on one link, which can hold up, delay, reset and refuse what goes through it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::SockRef;

const CONNECT: Duration = Duration::from_secs(1);
/// How often somebody who cannot get rid of his bytes looks whether his connection was reset.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What happens to connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    Delay(Duration),
    /// They stay open and carry nothing.
    Hold,
    /// Nobody listens.
    Refuse,
}

/// Runs as long as we do.
pub(crate) struct Proxy(Arc<Link>);

/// Where a link leads, once that is known.
type Target = Box<dyn Fn() -> Option<SocketAddr> + Send + Sync>;

struct Link {
    port: u16,
    target: Target,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    mode: Mode,
    /// Counts changes of the mode.
    changes: u64,
    connections: Vec<Weak<Connection>>,
}

/// Both ends of what is one connection to those who use it.
struct Connection {
    near: TcpStream,
    far: TcpStream,
    is_cut: AtomicBool,
    is_forgotten: AtomicBool,
}

impl Proxy {
    /// Listens on the port at once; the target is asked for with every connection.
    pub(crate) fn start(port: u16, target: Target) -> Result<Self> {
        let listener = listen(port).with_context(|| format!("cannot listen on port {port}"))?;
        let state = State { mode: Mode::Pass, changes: 0, connections: Vec::new() };
        let link = Arc::new(Link { port, target, state: Mutex::new(state), changed: Condvar::new() });
        let accepting = Arc::clone(&link);
        thread::spawn(move || accepting.accept(listener));
        Ok(Self(link))
    }

    /// Changes the mode, and answers a ticket with which only this change can be taken back.
    pub(crate) fn set(&self, mode: Mode) -> u64 {
        let mut state = self.0.lock();
        state.mode = mode;
        state.changes += 1;
        let ticket = state.changes;
        self.0.changed.notify_all();
        drop(state);
        if mode == Mode::Refuse {
            // Wakes who accepts, so that the listener is closed.
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.0.port)));
        }
        ticket
    }

    /// Lets everything pass again, unless the mode was changed after the ticket was given.
    pub(crate) fn take_back(&self, ticket: u64) {
        if self.0.lock().changes == ticket {
            self.set(Mode::Pass);
        }
    }

    /// Resets all connections.
    pub(crate) fn reset(&self) {
        let mut state = self.0.lock();
        for connection in state.connections.drain(..).filter_map(|connection| connection.upgrade()) {
            connection.cut();
        }
        self.0.changed.notify_all();
    }

    pub(crate) fn reset_forgotten(&self) {
        let state = self.0.lock();
        let connections = state.connections.iter().filter_map(Weak::upgrade);
        connections.filter(|connection| connection.is_forgotten()).for_each(|connection| connection.cut());
        self.0.changed.notify_all();
    }

    /// Lets all connections stay open and silent until they are reset, as a route does that has lost its other end.
    pub(crate) fn forget(&self) {
        for connection in self.0.lock().connections.iter().filter_map(Weak::upgrade) {
            connection.is_forgotten.store(true, Ordering::Relaxed);
        }
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the mode is one that nothing gets past.
    fn wait_while(&self, blocked: impl Fn(Mode) -> bool) -> Mode {
        let state = self.changed.wait_while(self.lock(), |state| blocked(state.mode));
        state.unwrap_or_else(PoisonError::into_inner).mode
    }

    fn accept(self: Arc<Self>, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            // The port is below those that the kernel gives away, so nobody has taken it meanwhile.
            let Some(open) = listener.take().or_else(|| listen(self.port).ok()) else {
                thread::sleep(LOOK_AGAIN);
                continue;
            };
            while let Ok((near, _)) = open.accept() {
                if self.lock().mode == Mode::Refuse {
                    abort(&near);
                    break;
                }
                let link = Arc::clone(&self);
                thread::spawn(move || link.carry(near));
            }
            drop(open);
            self.wait_while(|mode| mode == Mode::Refuse);
        }
    }

    fn carry(self: Arc<Self>, near: TcpStream) {
        self.wait_while(|mode| mode == Mode::Hold);
        let far = (self.target)().and_then(|target| TcpStream::connect_timeout(&target, CONNECT).ok());
        let Some(far) = far else { return abort(&near) };
        for end in [&near, &far] {
            // A connection without these is slower or ends later, and no worse.
            let _ = end.set_nodelay(true);
            let _ = end.set_write_timeout(Some(LOOK_AGAIN));
        }
        let connection =
            Arc::new(Connection { near, far, is_cut: AtomicBool::new(false), is_forgotten: AtomicBool::new(false) });
        let mut state = self.lock();
        state.connections.retain(|other| other.strong_count() > 0);
        state.connections.push(Arc::downgrade(&connection));
        drop(state);

        let (link, back) = (Arc::clone(&self), Arc::clone(&connection));
        let answers = thread::spawn(move || link.pump(&back, &back.far, &back.near));
        self.pump(&connection, &connection.near, &connection.far);
        // Cannot fail: the thread does not panic.
        let _ = answers.join();
    }

    fn pump(&self, connection: &Connection, mut from: &TcpStream, to: &TcpStream) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer);
            // A state that is waited out with the bytes in hand, unless the connection is cut meanwhile.
            let mode = self.wait_while(|mode| connection.is_held(mode));
            if connection.is_cut() {
                return;
            }
            match read {
                Ok(0) => return drop(to.shutdown(Shutdown::Write)),
                Ok(length) => {
                    if let Mode::Delay(delay) = mode {
                        thread::sleep(delay);
                    }
                    if connection.write(to, &buffer[..length]).is_err() {
                        return connection.cut();
                    }
                }
                Err(_) => return connection.cut(),
            }
        }
    }
}

impl Connection {
    fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::Relaxed)
    }

    fn is_held(&self, mode: Mode) -> bool {
        (mode == Mode::Hold || self.is_forgotten()) && !self.is_cut()
    }

    /// Makes the close of both ends a reset, and those wake up who wait for bytes.
    fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        for end in [&self.near, &self.far] {
            abort(end);
            // Already closed by the other side is as good.
            let _ = end.shutdown(Shutdown::Read);
        }
    }

    fn write(&self, mut to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match to.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.is_cut() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The close that follows sends a reset instead of a farewell.
fn abort(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}
