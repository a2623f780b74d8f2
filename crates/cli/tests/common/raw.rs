//! A client that writes whatever bytes it likes: for what no well-behaved client would send.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::session::{Tls, trusting};
use super::{DATABASE, Trial};

/// A gateway that has not answered by then hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// A connection to the gateway under TLS.
pub(crate) struct Raw {
    stream: StreamOwned<ClientConnection, TcpStream>,
    input: Vec<u8>,
}

/// An ErrorResponse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) severity: String,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// A message: tag, length, body.
pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

/// A Query message.
pub(crate) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), &[0]].concat())
}

/// A start-up packet of protocol 3.0.
pub(crate) fn startup(user: &str) -> Vec<u8> {
    startup_with(user, &[("database", DATABASE)])
}

/// The same with settings.
pub(crate) fn startup_with(user: &str, settings: &[(&str, &str)]) -> Vec<u8> {
    let settings: String = settings.iter().map(|(name, value)| format!("{name}\0{value}\0")).collect();
    let body = format!("\0\u{3}\0\0user\0{user}\0{settings}\0");
    [&i32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], body.as_bytes()].concat()
}

/// An error has this SQLSTATE, and this in its message and in its hint.
pub(crate) fn told(told: &Told, code: &str, message: &str, hint: &str) {
    assert_eq!(told.code, code, "{told:?}");
    assert!(told.message.contains(message) && told.hint.contains(hint), "{told:?}");
}

impl Told {
    pub(crate) fn read(body: &[u8]) -> Self {
        let mut told = Self::default();
        for field in body.split(|byte| *byte == 0).filter(|field| !field.is_empty()) {
            let text = String::from_utf8(field[1..].to_vec()).unwrap();
            match field[0] {
                b'V' => told.severity = text,
                b'C' => told.code = text,
                b'M' => told.message = text,
                b'H' => told.hint = text,
                _ => {}
            }
        }
        told
    }
}

impl Trial {
    /// A plain connection to the gateway.
    pub(crate) fn tcp(&self) -> TcpStream {
        tcp(self.port)
    }

    /// TLS, and nothing said yet.
    pub(crate) fn raw(&self) -> Raw {
        Raw::open(self.port, self.tls())
    }

    /// A signed-in session.
    pub(crate) fn raw_session(&self) -> Raw {
        let password = std::fs::read_to_string(self.data().join("application/password")).unwrap();
        let mut raw = self.raw();
        raw.sign_in("app", password.trim()).unwrap();
        raw
    }

    /// A session past the gateway, with a role and a database of the same name and password.
    pub(crate) fn raw_plain(&self, name: &str) -> Raw {
        let mut raw = Raw::open(self.port + 1, trusting(&self.processor().join("root.crt")));
        raw.sign_in_with(&startup_with(name, &[("database", name)]), name).unwrap();
        raw
    }
}

fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl Raw {
    fn open(port: u16, tls: Tls) -> Self {
        let mut stream = tcp(port);
        stream.write_all(&SSL_REQUEST).unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"S");
        let name = ServerName::try_from("127.0.0.1").unwrap();
        Self { stream: StreamOwned::new(ClientConnection::new(tls.0, name).unwrap(), stream), input: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next message, `None` where the gateway has closed the connection.
    pub(crate) fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let started = Instant::now();
        loop {
            if let Some(head) = self.input.get(..5) {
                let size = 1 + usize::try_from(i32::from_be_bytes(head[1..].try_into().unwrap())).unwrap();
                if self.input.len() >= size {
                    let rest = self.input.split_off(size);
                    let whole = std::mem::replace(&mut self.input, rest);
                    return Some((whole[0], whole[5..].to_vec()));
                }
            }
            let mut piece = [0; 16 << 10];
            assert!(started.elapsed() < PATIENCE, "the gateway does not finish its message");
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&piece[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("the gateway neither answers nor closes the connection")
                }
                Err(_) => return None,
            }
        }
    }

    /// SCRAM-SHA-256 up to ReadyForQuery, or the refusal.
    pub(crate) fn sign_in(&mut self, user: &str, password: &str) -> Result<(), Told> {
        self.sign_in_with(&startup(user), password)
    }

    /// The same with another start-up packet.
    pub(crate) fn sign_in_with(&mut self, startup: &[u8], password: &str) -> Result<(), Told> {
        self.sign_in_bound(startup, password, "SCRAM-SHA-256", ChannelBinding::unsupported())
    }

    /// The same with a mechanism, and what it is bound to.
    pub(crate) fn sign_in_bound(
        &mut self,
        startup: &[u8],
        password: &str,
        mechanism: &str,
        binding: ChannelBinding,
    ) -> Result<(), Told> {
        self.send(startup);
        let mut scram = ScramSha256::new(password.as_bytes(), binding);
        loop {
            match self.next().expect("closed without a word") {
                (b'R', body) => match body[..4] {
                    [0, 0, 0, 10] => {
                        let first = scram.message();
                        let length = i32::try_from(first.len()).unwrap().to_be_bytes();
                        self.send(&message(b'p', &[mechanism.as_bytes(), &[0], &length[..], first].concat()));
                    }
                    [0, 0, 0, 11] => {
                        scram.update(&body[4..]).unwrap();
                        self.send(&message(b'p', scram.message()));
                    }
                    [0, 0, 0, 12] => scram.finish(&body[4..]).unwrap(),
                    _ => {}
                },
                (b'E', body) => return Err(Told::read(&body)),
                (b'Z', _) => return Ok(()),
                _ => {}
            }
        }
    }

    /// Up to ReadyForQuery: the errors that came before it.
    pub(crate) fn until_ready(&mut self) -> Vec<Told> {
        let mut errors = Vec::new();
        loop {
            match self.next().unwrap_or_else(|| panic!("closed, after {errors:?}")) {
                (b'E', body) => errors.push(Told::read(&body)),
                (b'Z', _) => return errors,
                _ => {}
            }
        }
    }

    /// Exactly one error, and the session goes on.
    pub(crate) fn one_error(&mut self) -> Told {
        let errors = self.until_ready();
        assert_eq!(errors.len(), 1, "{errors:?}");
        self.still_works();
        errors[0].clone()
    }

    /// The connection ends; what was said before.
    pub(crate) fn until_closed(&mut self) -> Option<Told> {
        let mut last = None;
        while let Some((tag, body)) = self.next() {
            if tag == b'E' {
                last = Some(Told::read(&body));
            }
        }
        last
    }

    /// The session answers, with a value that only the gateway can have opened.
    pub(crate) fn still_works(&mut self) {
        self.send(&query("SELECT family_name FROM person WHERE national_number = 85073003328"));
        let mut rows = Vec::new();
        loop {
            match self.next().expect("the session has ended") {
                (b'D', body) => rows.push(body),
                (b'E', body) => panic!("{:?}", Told::read(&body)),
                (b'Z', status) => {
                    assert_eq!(status, b"I");
                    break;
                }
                _ => {}
            }
        }
        assert!(rows.len() == 1 && rows[0].ends_with(b"Peeters"), "{rows:?}");
    }

    /// Goes away without a word, as a client that crashed.
    pub(crate) fn vanish(self) {
        drop(self.stream.sock);
    }
}
