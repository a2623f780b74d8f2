//! Opening a connection to the processor's PostgreSQL: hosts in order, TLS, SCRAM-SHA-256, first parameters.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use drieslot_wire as wire;

use crate::config::Backend;
use crate::refusal::Refusal;
use crate::stream::Peer;

/// Where a cancel request for a connection goes.
#[derive(Clone, Debug)]
pub(crate) struct CancelKey {
    host: String,
    process: i32,
    secret: Bytes,
}

/// A signed-in connection that waits for its first statement.
pub(crate) struct Connection {
    pub(crate) peer: Peer,
    pub(crate) cancel: CancelKey,
    /// ParameterStatus as the server reported them.
    pub(crate) parameters: Vec<(String, String)>,
}

/// Opens connections to one processor.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<Backend>,
    tls: Option<TlsConnector>,
    password: Arc<Zeroizing<String>>,
}

fn unreachable_error(detail: impl std::fmt::Display) -> Refusal {
    Refusal::new("08006", "the processor's PostgreSQL cannot be used")
        .detail(detail.to_string())
        .hint("Check that it runs, and the gateway's [backend] settings.")
}

impl Connector {
    pub(crate) fn new(config: Backend, tls: Option<TlsConnector>, password: Zeroizing<String>) -> Self {
        Self { config: Arc::new(config), tls, password: Arc::new(password) }
    }

    /// Signs in to the first host that answers. `settings` are the client's own start-up parameters.
    pub(crate) async fn connect(&self, settings: &[(String, String)]) -> Result<Connection, Refusal> {
        let mut last = None;
        for host in &self.config.hosts {
            let limit = Duration::from_secs(self.config.connect_timeout_s);
            match tokio::time::timeout(limit, self.connect_host(host, settings)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(refusal)) => last = Some(refusal),
                Err(_) => last = Some(unreachable_error(format_args!("{host} did not answer in time"))),
            }
        }
        Err(last.unwrap_or_else(|| unreachable_error("no host is configured")))
    }

    async fn connect_host(&self, host: &str, settings: &[(String, String)]) -> Result<Connection, Refusal> {
        let mut peer = self.open(host).await.map_err(|error| unreachable_error(format_args!("{host}: {error}")))?;
        let mut parameters = vec![("user", self.config.user.as_str())];
        parameters.extend(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        wire::startup_message(&mut peer.output, &parameters);
        self.sign_in(peer, host).await
    }

    async fn open(&self, host: &str) -> io::Result<Peer> {
        let mut stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Peer::tcp(stream));
        };
        let mut request = BytesMut::new();
        wire::ssl_request(&mut request);
        stream.write_all(&request).await?;
        if stream.read_u8().await? != b'S' {
            return Err(io::Error::other("it does not offer TLS, which backend.tls demands"));
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        tls.connect(name, stream).await.map(Peer::tls)
    }

    async fn sign_in(&self, mut peer: Peer, host: &str) -> Result<Connection, Refusal> {
        let lost = |error: io::Error| unreachable_error(format_args!("{host}: {error}"));
        let mut scram = None;
        let mut parameters = Vec::new();
        let mut key = None;
        let mut authenticated = false;
        loop {
            peer.flush().await.map_err(lost)?;
            let (tag, body) = peer.message().await.map_err(lost)?;
            match tag {
                b'R' => authenticated = self.authenticate(body, &mut scram, &mut peer.output)?,
                b'S' if authenticated => parameters.extend(read_parameter(&body)),
                b'K' if authenticated => key = read_key(body),
                b'N' => {}
                b'E' => return Err(backend_error(&body)),
                b'Z' if authenticated => {
                    let (process, secret) = key.ok_or_else(|| unreachable_error("it gave no cancel key"))?;
                    let cancel = CancelKey { host: host.to_owned(), process, secret };
                    return Ok(Connection { peer, cancel, parameters });
                }
                other => return Err(Refusal::protocol(format_args!("processor sent {:?}", char::from(other)))),
            }
        }
    }

    /// One authentication message; `true` once the server is satisfied and has proved that it knows the verifier.
    fn authenticate(&self, mut body: Bytes, scram: &mut Option<Scram>, out: &mut BytesMut) -> Result<bool, Refusal> {
        let refuse = |why: &str| unreachable_error(why);
        if body.len() < 4 {
            return Err(refuse("malformed authentication message"));
        }
        match (body.get_u32(), scram.as_mut()) {
            (10, None) => {
                if !body.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) {
                    return Err(refuse("it does not offer SCRAM-SHA-256"));
                }
                let state = ScramSha256::new(self.password.as_bytes(), ChannelBinding::unsupported());
                put_sasl_initial(out, state.message());
                *scram = Some(Scram { state, proved: false });
                Ok(false)
            }
            (11, Some(scram)) => {
                scram.state.update(&body).map_err(|_| refuse("its SCRAM answer is wrong"))?;
                put_sasl(out, scram.state.message());
                Ok(false)
            }
            (12, Some(scram)) => {
                scram.state.finish(&body).map_err(|_| refuse("it does not know the role's verifier"))?;
                scram.proved = true;
                Ok(false)
            }
            (0, Some(Scram { proved: true, .. })) => Ok(true),
            (0, _) => Err(refuse("it lets the role in without SCRAM-SHA-256; set scram-sha-256 in its pg_hba.conf")),
            _ => Err(refuse("it asks for a sign-in other than SCRAM-SHA-256")),
        }
    }

    /// Asks the processor to cancel what a connection runs.
    pub(crate) async fn cancel(&self, key: &CancelKey) -> io::Result<()> {
        let mut peer = self.open(&key.host).await?;
        wire::cancel_request(&mut peer.output, key.process, &key.secret);
        peer.flush().await?;
        // The server closes the connection once it has passed the request on.
        let _ = tokio::time::timeout(Duration::from_secs(5), peer.fill()).await;
        Ok(())
    }
}

struct Scram {
    state: ScramSha256,
    proved: bool,
}

fn put_sasl_initial(out: &mut BytesMut, message: &[u8]) {
    wire::put_frame(out, b'p', |out| {
        out.put_slice(SCRAM_SHA_256.as_bytes());
        out.put_u8(0);
        out.put_i32(i32::try_from(message.len()).unwrap_or(i32::MAX));
        out.put_slice(message);
    });
}

fn put_sasl(out: &mut BytesMut, message: &[u8]) {
    wire::put_frame(out, b'p', |out| out.put_slice(message));
}

pub(crate) fn read_parameter(body: &[u8]) -> Option<(String, String)> {
    let mut cursor = wire::Cursor::new(body);
    Some((cursor.cstr().ok()?.to_owned(), cursor.cstr().ok()?.to_owned()))
}

fn read_key(mut body: Bytes) -> Option<(i32, Bytes)> {
    (body.len() >= 8).then(|| (body.get_i32(), body))
}

/// The processor's own words about a failed sign-in, without its details.
fn backend_error(body: &[u8]) -> Refusal {
    let fields = wire::error_fields(body).unwrap_or_default();
    let field = |code: u8| fields.iter().find(|(c, _)| *c == code).map_or("", |(_, text)| text.as_str());
    match field(b'C') {
        // A missing database is the client's business; PostgreSQL says it the same way.
        "3D000" => Refusal::new("3D000", field(b'M').to_owned()),
        code => unreachable_error(format_args!("{} ({code})", field(b'M'))),
    }
}
