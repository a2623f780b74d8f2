//! Opening a connection to the processor's PostgreSQL: the principal's role, hosts in order, TLS, SCRAM-SHA-256 or a
//! certificate, first parameters.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use drieslot_wire as wire;

use crate::certificate::end_point;
use crate::config::{Backend, BackendRole, DEFAULT_ROLE, TargetSessionAttrs, entry_of};
use crate::refusal::Refusal;
use crate::stream::Peer;
use crate::{GatewayError, config, tls};

/// Where a cancel request for a connection goes.
#[derive(Clone)]
pub(crate) struct CancelKey {
    host: String,
    /// A name may stand for several servers.
    address: SocketAddr,
    process: i32,
    secret: Bytes,
    tls: Option<TlsConnector>,
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
    /// Of principals without one of their own.
    default: Option<Arc<Role>>,
    roles: BTreeMap<String, Arc<Role>>,
}

/// A role at the processor, and what signs in as it.
struct Role {
    /// Where the configuration names it.
    entry: String,
    user: String,
    tls: Option<TlsConnector>,
    /// `None` where the certificate alone signs in.
    password: Option<Zeroizing<String>>,
}

impl Role {
    fn load(backend: &Backend, entry: String, role: &BackendRole) -> Result<Arc<Self>, GatewayError> {
        let read = |path| -> Result<_, GatewayError> {
            let text = Zeroizing::new(config::read(path)?);
            Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
        };
        let password = role.password_file.as_deref().map(read).transpose()?;
        let tls = tls::connector(backend, &entry, role)?;
        Ok(Arc::new(Self { entry, user: role.user.clone(), tls, password }))
    }

    /// The role cannot sign in.
    fn refused(&self, detail: impl std::fmt::Display) -> Refusal {
        unreachable_error(detail).hint(format!("Check {} in the gateway's configuration, and pg_hba.conf.", self.entry))
    }
}

/// Why a host will not do.
enum Failure {
    /// The next one may.
    Next(Refusal),
    /// None will: it answered, and refused.
    Last(Refusal),
}

/// A connection on which nothing was said yet.
struct Opened {
    peer: Peer,
    address: SocketAddr,
    binding: Binding,
}

/// What SCRAM can be bound to.
#[derive(Clone)]
enum Binding {
    EndPoint(Vec<u8>),
    /// No TLS, or a certificate whose signature names no hash.
    Nothing,
}

fn unreachable_error(detail: impl std::fmt::Display) -> Refusal {
    Refusal::new("08006", "the processor's PostgreSQL cannot be used")
        .detail(detail.to_string())
        .hint("Check that it runs, and the gateway's [backend] settings.")
}

impl Connector {
    pub(crate) fn new(backend: &Backend) -> Result<Self, GatewayError> {
        let default = backend.default_role();
        let default = default.map(|role| Role::load(backend, DEFAULT_ROLE.to_owned(), &role)).transpose()?;
        let roles = backend.roles.iter().map(|(principal, role)| {
            Role::load(backend, entry_of(principal), role).map(|role| (principal.clone(), role))
        });
        Ok(Self { config: Arc::new(backend.clone()), default, roles: roles.collect::<Result<_, _>>()? })
    }

    /// Signs in for a principal to the first host that answers and will do. `settings` are the client's own start-up
    /// parameters.
    pub(crate) async fn connect(&self, principal: &str, settings: &[(String, String)]) -> Result<Connection, Refusal> {
        let role = self.roles.get(principal).or(self.default.as_ref()).ok_or_else(|| {
            Refusal::new("28000", format!("principal \"{principal}\" has no role at the processor"))
                .hint(format!("Add {} to the gateway's configuration.", entry_of(principal)))
        })?;
        self.connect_as(role, settings).await
    }

    /// Signs in as the default role, for work of the gateway's own.
    pub(crate) async fn connect_by_default(&self, settings: &[(String, String)]) -> Result<Connection, Refusal> {
        let role = self.default.as_ref().ok_or_else(|| {
            unreachable_error("the configuration names no role for work that no principal asks for")
                .hint("Set backend.user in the configuration that is used for this.")
        })?;
        self.connect_as(role, settings).await
    }

    async fn connect_as(&self, role: &Role, settings: &[(String, String)]) -> Result<Connection, Refusal> {
        use TargetSessionAttrs::{Any, PreferStandby, Standby};
        let wanted = &self.config.target_session_attrs;
        let passes = if *wanted == PreferStandby { &[Standby, Any] } else { std::slice::from_ref(wanted) };
        let mut whys = Vec::new();
        for wanted in passes {
            whys.clear();
            for host in &self.config.hosts {
                match self.connect_host(role, host, settings, *wanted).await {
                    Ok(connection) => return Ok(connection),
                    Err(Failure::Last(refusal)) => return Err(refusal),
                    Err(Failure::Next(refusal)) => {
                        whys.push(format!("{host}: {}", refusal.detail.unwrap_or(refusal.message)));
                    }
                }
            }
        }
        Err(unreachable_error(whys.join("; ")))
    }

    async fn connect_host(
        &self,
        role: &Role,
        host: &str,
        settings: &[(String, String)],
        wanted: TargetSessionAttrs,
    ) -> Result<Connection, Failure> {
        let signing_in = async {
            let mut opened =
                self.open(&role.tls, host, None).await.map_err(|error| Failure::Next(unreachable_error(error)))?;
            let mut parameters = vec![("user", role.user.as_str())];
            parameters.extend(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            wire::startup_message(&mut opened.peer.output, &parameters);
            role.sign_in(opened, host).await
        };
        let limit = Duration::from_secs(self.config.connect_timeout_s);
        let late = |_| Failure::Next(unreachable_error("it did not answer in time"));
        let connection = tokio::time::timeout(limit, signing_in).await.map_err(late)??;
        match unfit(&connection.parameters, wanted) {
            None => Ok(connection),
            Some(why) => {
                connection.peer.close().await;
                Err(Failure::Next(unreachable_error(why)))
            }
        }
    }

    /// `address`: the one of the host's that a connection was made to before.
    async fn open(&self, tls: &Option<TlsConnector>, host: &str, address: Option<SocketAddr>) -> io::Result<Opened> {
        let mut stream = match address {
            Some(address) => TcpStream::connect(address).await?,
            None => TcpStream::connect(host).await?,
        };
        stream.set_nodelay(true)?;
        let address = stream.peer_addr()?;
        let Some(tls) = tls else {
            return Ok(Opened { peer: Peer::tcp(stream), address, binding: Binding::Nothing });
        };
        let mut request = BytesMut::new();
        wire::ssl_request(&mut request);
        stream.write_all(&request).await?;
        if stream.read_u8().await? != b'S' {
            return Err(io::Error::other("it does not offer TLS, which backend.tls demands"));
        }
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let stream = tls.connect(name, stream).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let binding = certificate.and_then(|certificate| end_point(certificate));
        let binding = binding.map_or(Binding::Nothing, Binding::EndPoint);
        Ok(Opened { peer: Peer::tls(stream), address, binding })
    }

    /// Asks the processor to cancel what a connection runs.
    pub(crate) async fn cancel(&self, key: &CancelKey) -> io::Result<()> {
        let mut peer = self.open(&key.tls, &key.host, Some(key.address)).await?.peer;
        wire::cancel_request(&mut peer.output, key.process, &key.secret);
        peer.flush().await?;
        // The server closes the connection once it has passed the request on.
        let _ = tokio::time::timeout(Duration::from_secs(5), peer.fill()).await;
        Ok(())
    }
}

impl Role {
    async fn sign_in(&self, opened: Opened, host: &str) -> Result<Connection, Failure> {
        let Opened { mut peer, address, binding } = opened;
        let lost = |error: io::Error| Failure::Next(unreachable_error(error));
        let mut scram = None;
        let mut parameters = Vec::new();
        let mut key = None;
        let mut authenticated = false;
        loop {
            peer.flush().await.map_err(lost)?;
            let (tag, body) = peer.message().await.map_err(lost)?;
            match tag {
                b'R' => {
                    let refused = |refusal: Refusal| Failure::Last(refusal);
                    authenticated = self.authenticate(body, &binding, &mut scram, &mut peer.output).map_err(refused)?;
                }
                b'S' if authenticated => parameters.extend(read_parameter(&body)),
                b'K' if authenticated => key = read_key(body),
                b'N' => {}
                b'E' => return Err(self.told(&body)),
                b'Z' if authenticated => {
                    let (process, secret) =
                        key.ok_or_else(|| Failure::Last(unreachable_error("it gave no cancel key")))?;
                    let cancel = CancelKey { host: host.to_owned(), address, process, secret, tls: self.tls.clone() };
                    return Ok(Connection { peer, cancel, parameters });
                }
                other => {
                    let what = format_args!("processor sent {:?}", char::from(other));
                    return Err(Failure::Last(Refusal::protocol(what)));
                }
            }
        }
    }

    /// One authentication message; `true` once the server is satisfied and has proved that it knows the verifier, or where
    /// TLS and certificates alone have proved both sides.
    fn authenticate(
        &self,
        mut body: Bytes,
        binding: &Binding,
        scram: &mut Option<Scram>,
        out: &mut BytesMut,
    ) -> Result<bool, Refusal> {
        let refuse = |why: &str| self.refused(why);
        if body.len() < 4 {
            return Err(refuse("malformed authentication message"));
        }
        match (body.get_u32(), scram.as_mut(), &self.password) {
            (10, None, Some(password)) => {
                let offers = |mechanism: &str| body.split(|byte| *byte == 0).any(|name| name == mechanism.as_bytes());
                if !offers(SCRAM_SHA_256) {
                    return Err(refuse("it does not offer SCRAM-SHA-256"));
                }
                // A server that does support binding refuses the second: somebody took the first from its offer.
                let (mechanism, binding) = match binding {
                    Binding::EndPoint(hash) if offers(SCRAM_SHA_256_PLUS) => {
                        (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(hash.clone()))
                    }
                    Binding::EndPoint(_) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
                    Binding::Nothing => (SCRAM_SHA_256, ChannelBinding::unsupported()),
                };
                let state = ScramSha256::new(password.as_bytes(), binding);
                put_sasl_initial(out, mechanism, state.message());
                *scram = Some(Scram { state, proved: false });
                Ok(false)
            }
            (11, Some(scram), _) => {
                scram.state.update(&body).map_err(|_| refuse("its SCRAM answer is wrong"))?;
                put_sasl(out, scram.state.message());
                Ok(false)
            }
            (12, Some(scram), _) => {
                scram.state.finish(&body).map_err(|_| refuse("it does not know the role's verifier"))?;
                scram.proved = true;
                Ok(false)
            }
            (0, Some(Scram { proved: true, .. }), _) | (0, None, None) => Ok(true),
            (0, _, _) => Err(refuse("it lets the role in without SCRAM-SHA-256; set scram-sha-256 in its pg_hba.conf")),
            (10, None, None) => Err(refuse("it asks for a password; set cert in its pg_hba.conf, or password_file")),
            _ => Err(refuse("it asks for a sign-in other than SCRAM-SHA-256")),
        }
    }

    /// The processor's own words about a failed sign-in, without its details.
    fn told(&self, body: &[u8]) -> Failure {
        let field = |code| wire::error_field(body, code).unwrap_or_default();
        let said = |code: &str| format!("{} ({code})", field(b'M'));
        match field(b'C').as_str() {
            // A missing database is the client's business; PostgreSQL says it the same way.
            "3D000" => Failure::Last(Refusal::new("3D000", field(b'M'))),
            // So is one that the role may not connect to.
            "42501" => Failure::Last(Refusal::new("42501", field(b'M'))),
            // Starting, stopping, or recovering without hot standby: as in libpq the next host may do.
            code @ "57P03" => Failure::Next(unreachable_error(said(code))),
            // The role, its password, its certificate, or that it may sign in at all.
            code @ ("28000" | "28P01") => Failure::Last(self.refused(said(code))),
            code => Failure::Last(unreachable_error(said(code))),
        }
    }
}

struct Scram {
    state: ScramSha256,
    proved: bool,
}

fn put_sasl_initial(out: &mut BytesMut, mechanism: &str, message: &[u8]) {
    wire::put_frame(out, b'p', |out| {
        out.put_slice(mechanism.as_bytes());
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

/// Why a session's server is not of the wanted kind; PostgreSQL reports both settings when a session begins.
fn unfit(parameters: &[(String, String)], wanted: TargetSessionAttrs) -> Option<&'static str> {
    let on = |wanted: &str| parameters.iter().any(|(name, value)| name == wanted && value == "on");
    let (recovers, read_only) = (on("in_hot_standby"), on("in_hot_standby") || on("default_transaction_read_only"));
    let (fits, why) = match wanted {
        TargetSessionAttrs::Any | TargetSessionAttrs::PreferStandby => (true, ""),
        TargetSessionAttrs::ReadWrite => (!read_only, "session is read-only"),
        TargetSessionAttrs::ReadOnly => (read_only, "session is not read-only"),
        TargetSessionAttrs::Primary => (!recovers, "server is in hot standby mode"),
        TargetSessionAttrs::Standby => (recovers, "server is not in hot standby mode"),
    };
    (!fits).then_some(why)
}
