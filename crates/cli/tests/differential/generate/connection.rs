//! A session that asks in the simple or the extended protocol, and notes everything that is answered.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::common::Trial;
use crate::common::raw::message;

/// Whoever has not answered by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    from: usize,
}

/// A parameter: declared type or 0, format, value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) oid: u32,
    pub(crate) binary: bool,
    pub(crate) value: Option<Vec<u8>>,
}

/// One statement and how it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Simple(String),
    Extended { sql: String, parameters: Vec<Parameter>, binary_results: bool },
}

/// A result column: name, type, typlen, typmod, format. Whose column it is may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) oid: u32,
    pub(crate) length: i16,
    pub(crate) modifier: i32,
    pub(crate) format: i16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: String,
    /// PostgreSQL names the routine that raised it; the gateway's own errors have none.
    pub(crate) own: bool,
}

pub(crate) type Row = Vec<Option<Vec<u8>>>;

/// Everything up to ReadyForQuery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) parameters: Option<Vec<u32>>,
    pub(crate) shapes: Vec<Vec<Shape>>,
    pub(crate) rows: Vec<Row>,
    pub(crate) tags: Vec<String>,
    /// COPY data.
    pub(crate) copied: Vec<u8>,
    pub(crate) fault: Option<Fault>,
    pub(crate) status: u8,
    /// The connection ended.
    pub(crate) closed: bool,
}

struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }
    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().unwrap())
    }
    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().unwrap())
    }
    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }
    fn text(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap();
        let text = String::from_utf8_lossy(self.take(end)).into_owned();
        self.take(1);
        text
    }
}

fn shapes(body: &[u8]) -> Vec<Shape> {
    let mut body = Body(body);
    let count = body.i16();
    let column = |_| {
        let name = body.text();
        body.take(6);
        Shape { name, oid: body.u32(), length: body.i16(), modifier: body.i32(), format: body.i16() }
    };
    (0..count).map(column).collect()
}

fn row(body: &[u8]) -> Row {
    let mut body = Body(body);
    let count = body.i16();
    (0..count).map(|_| usize::try_from(body.i32()).ok().map(|length| body.take(length).to_vec())).collect()
}

fn fault(body: &[u8]) -> Fault {
    let mut fault = Fault { code: String::new(), message: String::new(), hint: String::new(), own: true };
    for field in body.split(|byte| *byte == 0).filter(|field| !field.is_empty()) {
        let text = String::from_utf8_lossy(&field[1..]).into_owned();
        match field[0] {
            b'C' => fault.code = text,
            b'M' => fault.message = text,
            b'H' => fault.hint = text,
            b'R' => fault.own = false,
            _ => {}
        }
    }
    fault
}

impl Connection {
    /// The application's session, through the gateway.
    pub(crate) fn gateway(trial: &Trial, database: &str) -> Self {
        let mut stream = trial.tcp();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&SSL_REQUEST).unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"S");
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = StreamOwned::new(ClientConnection::new(trial.tls().0, name).unwrap(), stream);
        let password = std::fs::read_to_string(trial.data().join("application/password")).unwrap();
        Self::signed_in(Box::new(tls), "app", password.trim(), database)
    }

    /// The superuser's session at the processor.
    pub(crate) fn plain(trial: &Trial, database: &str) -> Self {
        let stream = UnixStream::connect(trial.processor().join(format!(".s.PGSQL.{}", trial.port + 1))).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let password = std::fs::read_to_string(trial.processor().join("superuser.password")).unwrap();
        Self::signed_in(Box::new(stream), "postgres", password.trim(), database)
    }

    fn signed_in(stream: Box<dyn Stream>, user: &str, password: &str, database: &str) -> Self {
        let mut connection = Self { stream, input: Vec::new(), from: 0 };
        let body = format!("\0\u{3}\0\0user\0{user}\0database\0{database}\0\0");
        let length = i32::try_from(body.len() + 4).unwrap().to_be_bytes();
        connection.write(&[&length[..], body.as_bytes()].concat());
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        loop {
            match connection.next().expect("closed without a word") {
                (b'R', body) => match body[..4] {
                    [0, 0, 0, 10] => {
                        let first = scram.message();
                        let length = i32::try_from(first.len()).unwrap().to_be_bytes();
                        connection.write(&message(b'p', &[b"SCRAM-SHA-256\0", &length[..], first].concat()));
                    }
                    [0, 0, 0, 11] => {
                        scram.update(&body[4..]).unwrap();
                        let answer = message(b'p', scram.message());
                        connection.write(&answer);
                    }
                    [0, 0, 0, 12] => scram.finish(&body[4..]).unwrap(),
                    _ => {}
                },
                (b'E', body) => panic!("no session: {:?}", fault(&body)),
                (b'Z', _) => return connection,
                _ => {}
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let unread = &self.input[self.from..];
            if let Some(head) = unread.get(..5) {
                let size = 1 + usize::try_from(i32::from_be_bytes(head[1..].try_into().unwrap())).unwrap();
                if unread.len() >= size {
                    let found = (unread[0], unread[5..size].to_vec());
                    self.from += size;
                    return Some(found);
                }
            }
            self.input.drain(..self.from);
            self.from = 0;
            let mut piece = [0; 32 << 10];
            match self.stream.read(&mut piece) {
                Ok(count) if count > 0 => self.input.extend_from_slice(&piece[..count]),
                Ok(_) | Err(_) => return None,
            }
        }
    }

    /// Sends without waiting.
    pub(crate) fn send(&mut self, ask: &Ask) {
        let mut out = Vec::new();
        match ask {
            Ask::Simple(sql) => out.extend(message(b'Q', &[sql.as_bytes(), &[0]].concat())),
            Ask::Extended { sql, parameters, binary_results } => extended(sql, parameters, *binary_results, &mut out),
        }
        self.write(&out);
    }

    /// What the oldest open question was answered.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        loop {
            let Some((tag, body)) = self.next() else {
                answer.closed = true;
                return answer;
            };
            match tag {
                b't' => {
                    let mut body = Body(&body);
                    let count = body.i16();
                    answer.parameters = Some((0..count).map(|_| body.u32()).collect());
                }
                b'T' => answer.shapes.push(shapes(&body)),
                b'D' => answer.rows.push(row(&body)),
                b'd' => answer.copied.extend(&body),
                b'C' => answer.tags.push(Body(&body).text()),
                b'E' => answer.fault = Some(fault(&body)),
                b'Z' => {
                    answer.status = body[0];
                    return answer;
                }
                _ => {}
            }
        }
    }

    pub(crate) fn ask(&mut self, ask: &Ask) -> Answer {
        self.send(ask);
        self.answer()
    }

    pub(crate) fn simple(&mut self, sql: &str) -> Answer {
        self.ask(&Ask::Simple(sql.to_owned()))
    }

    /// Must succeed.
    pub(crate) fn run(&mut self, sql: &str) -> Answer {
        let answer = self.simple(sql);
        assert!(answer.fault.is_none() && !answer.closed, "{sql}\n{:?}", answer.fault);
        answer
    }

    /// COPY … FROM STDIN of a whole text; must succeed.
    pub(crate) fn copy_in(&mut self, sql: &str, data: &[u8]) {
        let mut out = message(b'Q', &[sql.as_bytes(), &[0]].concat());
        for piece in data.chunks(32 << 10) {
            out.extend(message(b'd', piece));
        }
        out.extend(message(b'c', &[]));
        self.write(&out);
        let answer = self.answer();
        assert!(answer.fault.is_none() && !answer.closed, "{sql}\n{:?}", answer.fault);
    }
}

fn extended(sql: &str, parameters: &[Parameter], binary_results: bool, out: &mut Vec<u8>) {
    let count = u16::try_from(parameters.len()).unwrap().to_be_bytes();
    let mut parse = [&[0], sql.as_bytes(), &[0], &count[..]].concat();
    parse.extend(parameters.iter().flat_map(|parameter| parameter.oid.to_be_bytes()));
    out.extend(message(b'P', &parse));
    out.extend(message(b'D', b"S\0"));
    let mut bind = [&[0, 0], &count[..]].concat();
    bind.extend(parameters.iter().flat_map(|parameter| [0, u8::from(parameter.binary)]));
    bind.extend(count);
    for parameter in parameters {
        match &parameter.value {
            None => bind.extend((-1_i32).to_be_bytes()),
            Some(value) => {
                bind.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
                bind.extend(value);
            }
        }
    }
    bind.extend([0, 1, 0, u8::from(binary_results)]);
    out.extend(message(b'B', &bind));
    out.extend(message(b'D', b"P\0"));
    out.extend(message(b'E', &[0, 0, 0, 0, 0]));
    out.extend(message(b'S', &[]));
}
