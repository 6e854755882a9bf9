//! One connection of one client: TCP and TLS 1.3 without blocking, and what is on its way on it.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use trust::request::{CHANNEL_KEY_BYTES, CHANNEL_LABEL};

/// Bytes read from a connection at once.
const READ_BYTES: usize = 16 * 1024;
/// Bytes of an answer that has not come whole.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How far a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No connection.
    Closed,
    /// A connection whose handshake is not over.
    Greeting,
    /// A connection on which nothing is on its way.
    Ready,
    /// A request is on its way.
    Asking,
    /// Said goodbye; the server is to close.
    Leaving,
}

/// A connection and what was read from it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) phase: Phase,
    open: Option<Open>,
    /// What came and was not read yet.
    pub(crate) inbox: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    socket: TcpStream,
    tls: ClientConnection,
    channel: [u8; CHANNEL_KEY_BYTES],
    /// The socket took not all that there was.
    stuck: bool,
}

/// What an event on the socket brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// Nothing that changes anything, or a part of an answer.
    Nothing,
    /// The handshake is over.
    Greeted,
    /// Something to read.
    Bytes,
    /// The end.
    End,
}

impl Link {
    pub(crate) const fn new() -> Self {
        Self { phase: Phase::Closed, open: None, inbox: Vec::new() }
    }

    /// Begins to connect; the handshake is begun at once.
    pub(crate) fn connect(
        &mut self,
        to: SocketAddr,
        name: &ServerName<'static>,
        config: Arc<ClientConfig>,
        (registry, token): (&Registry, Token),
    ) -> anyhow::Result<()> {
        self.close();
        let mut socket = TcpStream::connect(to).context("cannot connect")?;
        // What is written in two pieces does not wait for the first to be acknowledged.
        socket.set_nodelay(true)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let tls = ClientConnection::new(config, name.clone())?;
        self.open = Some(Open { socket, tls, channel: [0; CHANNEL_KEY_BYTES], stuck: true });
        self.phase = Phase::Greeting;
        Ok(())
    }

    /// The key of the channel.
    pub(crate) fn channel(&self) -> Option<&[u8; CHANNEL_KEY_BYTES]> {
        self.open.as_ref().map(|open| &open.channel)
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(ErrorKind::NotConnected.into()) };
        open.tls.writer().write_all(request)?;
        self.phase = Phase::Asking;
        open.flush()
    }

    /// Says goodbye, and waits for the server to close.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(ErrorKind::NotConnected.into()) };
        open.tls.send_close_notify();
        self.phase = Phase::Leaving;
        open.flush()
    }

    /// Lets go of the connection.
    pub(crate) fn close(&mut self) {
        if let Some(open) = &mut self.open {
            open.tls.send_close_notify();
            // Whether it still hears it is no matter.
            let _ = open.flush();
        }
        self.open = None;
        self.phase = Phase::Closed;
        self.inbox.clear();
    }

    /// Takes what the socket has, and gives it what waits.
    pub(crate) fn stir(&mut self) -> Brought {
        let phase = self.phase;
        let Some(open) = &mut self.open else { return Brought::Nothing };
        match open.stir(phase, &mut self.inbox) {
            Ok(Brought::Greeted) => {
                self.phase = Phase::Ready;
                Brought::Greeted
            }
            Ok(brought) => brought,
            Err(_) => Brought::End,
        }
    }
}

impl Open {
    fn flush(&mut self) -> io::Result<()> {
        self.stuck = false;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    self.stuck = true;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn stir(&mut self, phase: Phase, inbox: &mut Vec<u8>) -> io::Result<Brought> {
        if self.stuck {
            self.flush()?;
        }
        loop {
            match self.tls.read_tls(&mut self.socket) {
                Ok(0) => return Ok(Brought::End),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(Brought::Nothing);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            if self.tls.wants_write() {
                self.flush()?;
            }
            if state.plaintext_bytes_to_read() > 0 {
                if inbox.len() > ANSWER_BYTES_MAX {
                    return Err(io::Error::other("an answer without end"));
                }
                let length = inbox.len();
                inbox.resize(length + READ_BYTES.max(state.plaintext_bytes_to_read()), 0);
                let read = self.tls.reader().read(inbox.get_mut(length..).unwrap_or_default());
                inbox.truncate(length + read.as_ref().copied().unwrap_or(0));
                read?;
                return Ok(Brought::Bytes);
            }
            if state.peer_has_closed() {
                return Ok(Brought::End);
            }
            if phase == Phase::Greeting && !self.tls.is_handshaking() {
                let key = self.tls.export_keying_material([0; CHANNEL_KEY_BYTES], CHANNEL_LABEL, None);
                self.channel = key.map_err(io::Error::other)?;
                return Ok(Brought::Greeted);
            }
        }
    }
}
