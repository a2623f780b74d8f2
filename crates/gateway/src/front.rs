//! The front door: TLS, start-up packet, sign-in by SCRAM-SHA-256 or client certificate, and then a session. A failed sign-in
//! ends the connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use drieslot_wire::{self as wire, Startup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Shared;
use crate::certificate::common_name;
use crate::end_users::Said;
use crate::options;
use crate::refusal::Refusal;
use crate::scram::{Exchange, Known, MECHANISM, MECHANISM_PLUS, ScramError};
use crate::session::{Session, Who, own_settings, required_setting};
use crate::stream::Peer;

/// A client that has not signed in by then is let go.
const SIGN_IN_LIMIT: Duration = Duration::from_secs(30);
/// Start-up settings that are the gateway's own business.
const OWN_PARAMETERS: [&str; 2] = ["user", "replication"];

/// Serves one connection to its end.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream, address: SocketAddr) {
    let _ = stream.set_nodelay(true);
    match tokio::time::timeout(SIGN_IN_LIMIT, open(&shared, stream, address)).await {
        Ok(Ok(Some((who, client, connection)))) => {
            let cancel = shared.cancels.add(connection.cancel.clone());
            let mut session = Session::new(Arc::clone(&shared), who, client, connection.peer);
            session.greet(&connection.parameters, cancel.process(), cancel.secret());
            session.run().await;
        }
        Ok(Ok(None)) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%address, %error, "a connection ended before its session"),
    }
}

type Opened = Option<(Who, Peer, crate::backend::Connection)>;

async fn open(shared: &Shared, stream: TcpStream, address: SocketAddr) -> io::Result<Opened> {
    let Some(Door { peer: mut client, tls, parameters }) = negotiate(shared, stream).await? else { return Ok(None) };
    match sign_in(shared, &mut client, (parameters, tls.as_ref()), address).await {
        Ok((who, connection)) => Ok(Some((who, client, connection))),
        Err(refusal) => {
            tracing::info!(%address, sqlstate = refusal.sqlstate, why = %refusal.message, "sign-in refused");
            refusal.put(&mut client.output, "FATAL");
            client.close().await;
            Ok(None)
        }
    }
}

type StartupParameters = Vec<(String, String)>;

/// What is known of a client under TLS.
struct Tls {
    /// The common name in its certificate, which ends in a root that the configuration names.
    name: Option<String>,
}

/// A client that has asked for a session.
struct Door {
    peer: Peer,
    tls: Option<Tls>,
    parameters: StartupParameters,
}

/// Up to the packet that opens a session; `None` where the connection served another purpose.
async fn negotiate(shared: &Shared, mut stream: TcpStream) -> io::Result<Option<Door>> {
    let mut first = [0_u8; 1];
    // Direct TLS: a TLS record begins with 0x16, a start-up packet's length with 0.
    if stream.peek(&mut first).await? == 1 && first == [0x16] {
        return encrypted(shared, stream).await;
    }
    for _ in 0..3 {
        match read_packet(&mut stream).await? {
            Startup::SslRequest => {
                stream.write_all(b"S").await?;
                // Bytes sent before the handshake would be read as if they came under TLS (CVE-2021-23214).
                return encrypted(shared, stream).await;
            }
            Startup::GssEncRequest => stream.write_all(b"N").await?,
            startup @ (Startup::Cancel { .. } | Startup::Session { .. } | Startup::Unsupported) => {
                return opened(shared, Peer::tcp(stream), startup, None).await;
            }
        }
    }
    Ok(None)
}

async fn encrypted(shared: &Shared, stream: TcpStream) -> io::Result<Option<Door>> {
    let stream = shared.acceptor.accept(stream).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let tls = Tls { name: certificate.and_then(|certificate| common_name(certificate)) };
    let mut peer = Peer::tls(stream);
    loop {
        if let Some(length) = wire::startup_length(&peer.input).map_err(invalid)?
            && peer.input.len() >= length
        {
            let packet = peer.input.split_to(length);
            let startup = wire::read_startup(&packet).map_err(invalid)?;
            return opened(shared, peer, startup, Some(tls)).await;
        }
        peer.exchange(true).await?;
        if peer.ended {
            return Ok(None);
        }
    }
}

async fn opened(shared: &Shared, mut peer: Peer, startup: Startup, tls: Option<Tls>) -> io::Result<Option<Door>> {
    let secure = tls.is_some() || !shared.config.require_tls;
    let refusal = match startup {
        Startup::Cancel { process, secret } => {
            cancel(shared, process, &secret).await;
            // Without a goodbye of TLS libpq takes the end for a broken connection.
            peer.close().await;
            return Ok(None);
        }
        Startup::Session { parameters, minor: 0 } if secure => {
            return Ok(Some(Door { peer, tls, parameters }));
        }
        // A newer minor version is answered with the one spoken here, as PostgreSQL does.
        Startup::Session { parameters, .. } if secure => {
            wire::put_frame(&mut peer.output, b'v', |out| out.extend_from_slice(&[0, 3, 0, 0, 0, 0, 0, 0]));
            return Ok(Some(Door { peer, tls, parameters }));
        }
        Startup::Session { .. } => Refusal::new("28000", "this gateway demands TLS")
            .hint("Connect with sslmode=verify-full and the gateway's certificate, or at least sslmode=require."),
        Startup::SslRequest | Startup::GssEncRequest | Startup::Unsupported => {
            Refusal::new("08P01", "unsupported frontend protocol").hint("Use a client that speaks protocol 3.0.")
        }
    };
    refusal.put(&mut peer.output, "FATAL");
    peer.close().await;
    Ok(None)
}

fn invalid(error: wire::WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

async fn read_packet(stream: &mut TcpStream) -> io::Result<Startup> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).await?;
    packet.resize(8, 0);
    let length = wire::startup_length(&packet).map_err(invalid)?.unwrap_or(8);
    packet.resize(length, 0);
    if let Some(rest) = packet.get_mut(4..) {
        stream.read_exact(rest).await?;
    }
    wire::read_startup(&packet).map_err(invalid)
}

async fn cancel(shared: &Shared, process: i32, secret: &[u8]) {
    // As in PostgreSQL, the requester is told nothing.
    if let Some(key) = shared.cancels.find(process, secret)
        && let Err(error) = shared.connector.cancel(&key).await
    {
        tracing::warn!(%error, "a cancel request did not reach the processor");
    }
}

async fn sign_in(
    shared: &Shared,
    client: &mut Peer,
    (parameters, tls): (StartupParameters, Option<&Tls>),
    address: SocketAddr,
) -> Result<(Who, crate::backend::Connection), Refusal> {
    let get = |wanted: &str| parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let user =
        get("user").ok_or_else(|| Refusal::new("28000", "no PostgreSQL user name specified in startup packet"))?;
    if get("replication").is_some_and(|value| !matches!(value.as_str(), "false" | "off" | "no" | "0")) {
        return Err(Refusal::new("0A000", "replication connections are not served by the gateway")
            .hint("Replicate from the processor's PostgreSQL: it holds ciphertext only."));
    }
    if !has_certificate(shared, tls, &user)? {
        authenticate(shared, client, tls, &user).await?;
    }
    let database = get("database").unwrap_or_else(|| user.clone());
    let mut settings = start_settings(parameters, &database)?;
    let mut said = Said::default();
    for (name, value) in own_settings(&mut settings)? {
        let state = shared.follower.state();
        shared.end_users.hear_waiting(&mut said, name, &value, &state).await?;
    }
    let connection = shared.connector.connect(&user, &settings).await?;
    for (name, value) in &connection.parameters {
        required_setting(name, value)?;
    }
    let session = shared.new_session_id()?;
    Ok((Who { session, principal: user, database, client: address.to_string(), said }, connection))
}

/// What the processor is given of a start-up packet's settings.
fn start_settings(parameters: StartupParameters, database: &str) -> Result<StartupParameters, Refusal> {
    let mut settings: Vec<_> =
        parameters.into_iter().filter(|(name, _)| !OWN_PARAMETERS.contains(&name.as_str())).collect();
    if !settings.iter().any(|(name, _)| name == "database") {
        settings.push(("database".to_owned(), database.to_owned()));
    }
    // The gateway reads and writes UTF-8 only; a client that asks for something else is told below.
    if !settings.iter().any(|(name, _)| name == "client_encoding") {
        settings.push(("client_encoding".to_owned(), "UTF8".to_owned()));
    }
    for (name, value) in &settings {
        check_start_setting(&name.to_ascii_lowercase(), value)?;
    }
    // These are not reported, so that what a role or a database has set would go unnoticed.
    for (name, value) in [("extra_float_digits", "1"), ("bytea_output", "hex"), ("array_nulls", "on")] {
        if !settings.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
            settings.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(settings)
}

/// Settings that change the text of values and that PostgreSQL does not report must be the gateway's, and the role that
/// acts is that of the configuration.
fn check_start_setting(name: &str, value: &str) -> Result<(), Refusal> {
    if name == "options" {
        let inner = options::read(value).ok_or_else(|| {
            Refusal::new("0A000", "the start-up setting options has a switch that the gateway does not read")
                .hint("Write each setting in it as -c name=value.")
        })?;
        return inner.iter().try_for_each(|(name, value)| check_start_setting(name, value));
    }
    let wrong = match name {
        "extra_float_digits" => value.trim().parse::<i32>().is_ok_and(|digits| digits < 1),
        "bytea_output" => value != "hex",
        "array_nulls" => value != "on",
        "role" | "session_authorization" => {
            let what = format!("the start-up setting {name} is not allowed");
            return Err(Refusal::new("42501", what).hint("Sign in as the principal whose role is meant."));
        }
        _ => false,
    };
    if !wrong {
        return Ok(());
    }
    Err(Refusal::new("0A000", format!("the start-up setting {name} would change how protected values are written"))
        .hint("Leave extra_float_digits, bytea_output and array_nulls out of the connection's settings."))
}

/// Whether a certificate signs the user in. Refuses one who can sign in by nothing else.
fn has_certificate(shared: &Shared, tls: Option<&Tls>, user: &str) -> Result<bool, Refusal> {
    let Some(certificates) = &shared.config.client_certificates else { return Ok(false) };
    let name = tls.and_then(|tls| tls.name.as_deref());
    if name.and_then(|name| certificates.principals.get(name)).is_some_and(|principal| principal == user) {
        return Ok(true);
    }
    let known = certificates.principals.values().any(|principal| principal == user);
    if !known || shared.principals.contains_key(user) {
        return Ok(false);
    }
    Err(match name {
        None => Refusal::new("28000", "connection requires a valid client certificate")
            .hint("Connect with sslcert and sslkey: a certificate of an authority that the gateway trusts."),
        Some(name) => Refusal::new("28000", format!("certificate authentication failed for user \"{user}\""))
            .detail(format!("The certificate is of \"{name}\", which is not this principal's."))
            .hint("Use this principal's certificate, or have the name mapped in the gateway's client_certificates."),
    })
}

async fn authenticate(shared: &Shared, client: &mut Peer, tls: Option<&Tls>, user: &str) -> Result<(), Refusal> {
    let gone = |error: io::Error| Refusal::protocol(error);
    let protocol = |why: &str| Refusal::new("08P01", why.to_owned());
    let binding = tls.and(shared.binding.as_deref());
    let mechanisms: &[&str] = if binding.is_some() { &[MECHANISM_PLUS, MECHANISM] } else { &[MECHANISM] };
    wire::authentication_sasl(&mut client.output, mechanisms);
    client.flush().await.map_err(gone)?;
    let first = sasl_message(client).await?;
    let mut cursor = wire::Cursor::new(&first);
    let mechanism = cursor.cstr().map_err(Refusal::protocol)?;
    if !mechanisms.contains(&mechanism) {
        return Err(protocol("client selected an invalid SASL authentication mechanism"));
    }
    let data = cursor.value().map_err(Refusal::protocol)?.unwrap_or_default();
    let scram = |error: ScramError| match error {
        ScramError::Protocol(why) => protocol(why),
        ScramError::Binding(why) => Refusal::new("28000", "SCRAM channel binding negotiation error")
            .detail(why)
            .hint("Something between the client and the gateway ends TLS. Let TLS reach the gateway itself."),
        ScramError::WrongPassword => {
            Refusal::new("28P01", format!("password authentication failed for user \"{user}\""))
        }
    };
    let text = std::str::from_utf8(data).map_err(|_| protocol("malformed SCRAM message"))?;
    let known = Known { user, verifier: shared.principals.get(user), decoy_seed: &shared.decoy_seed, binding };
    let exchange = Exchange::begin(&known, mechanism, text).map_err(scram)?;
    wire::authentication_sasl_continue(&mut client.output, exchange.server_first().as_bytes());
    client.flush().await.map_err(gone)?;
    let last = sasl_message(client).await?;
    let text = std::str::from_utf8(&last).map_err(|_| protocol("malformed SCRAM message"))?;
    let proof = exchange.finish(text).map_err(scram)?;
    wire::authentication_sasl_final(&mut client.output, proof.as_bytes());
    Ok(())
}

async fn sasl_message(client: &mut Peer) -> Result<bytes::Bytes, Refusal> {
    match client.message().await.map_err(Refusal::protocol)? {
        (b'p', body) => Ok(body),
        (other, _) => Err(Refusal::protocol(format_args!("expected SASL response, got {:?}", char::from(other)))),
    }
}

impl Session {
    /// Tells the client that it is in.
    pub(crate) fn greet(&mut self, parameters: &[(String, String)], process: i32, secret: &[u8]) {
        let mut out = BytesMut::new();
        wire::authentication_ok(&mut out);
        for (name, value) in parameters {
            self.note_parameter(name, value);
            wire::parameter_status(&mut out, name, value);
        }
        wire::backend_key_data(&mut out, process, secret);
        wire::ready_for_query(&mut out, b'I');
        self.tell(&out);
    }
}
