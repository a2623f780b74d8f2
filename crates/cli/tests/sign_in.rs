//! Signing in, at the front and at the back: SCRAM bound to the TLS connection, with somebody in between who ends TLS, and TLS
//! client certificates. With libpq and PostgreSQL as they are.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::psql::{Said, run};
use common::python::python;
use common::raw::startup;
use common::session::trusting;
use common::{DATABASE, Trial};
use postgres_protocol::authentication::sasl::ChannelBinding;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// An authority of the test's own, and what it issues.
struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    root: PathBuf,
}

impl Authority {
    fn create(trial: &Trial, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let root = trial.write(&format!("{name}.crt"), &params.self_signed(&key).unwrap().pem());
        Self { folder: trial.folder.path().to_owned(), issuer: Issuer::new(params, key), root }
    }

    /// A certificate and its key, as files.
    fn issue(&self, trial: &Trial, name: &str, expired: bool) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = name.replace(' ', "-");
        let path = trial.write(&format!("{file}-{expired}.crt"), &certificate.pem());
        let private = trial.write(&format!("{file}-{expired}.key"), &key.serialize_pem());
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(private.starts_with(&self.folder));
        (path, private)
    }
}

/// psql as a principal, without a password.
fn psql(trial: &Trial, user: &str, port: u16) -> Command {
    let mut command = trial.app_psql(DATABASE);
    command.env_remove("PGPASSWORD").env("PGUSER", user).env("PGPORT", port.to_string());
    command.args(["-w", "-At", "-c", "SELECT body FROM note WHERE note_id = 1"]);
    command
}

fn with_password(trial: &Trial, mut command: Command) -> Command {
    let password = std::fs::read_to_string(trial.data().join("application/password")).unwrap();
    command.env("PGPASSWORD", password.trim());
    command
}

fn reads(command: &mut Command) {
    let said = run(command, "");
    assert_eq!((said.out.trim(), said.ok), ("first", true), "{}", said.err);
}

fn fails(command: &mut Command, why: &[&str]) -> Said {
    let said = run(command, "");
    assert!(!said.ok && why.iter().all(|why| said.err.contains(why)), "wanted {why:?}, found {said:?}");
    said
}

/// Somebody who ends TLS on the way to a PostgreSQL or a gateway; `strips`: and takes SCRAM-SHA-256-PLUS from what is offered.
struct Between {
    port: u16,
    _running: tokio::runtime::Runtime,
}

impl Between {
    fn start(certificate: &(PathBuf, PathBuf), upstream: u16, root: &Path, strips: bool) -> Self {
        let running = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let chain = vec![CertificateDer::from_pem_file(&certificate.0).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&certificate.1).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let (acceptor, connector) = (TlsAcceptor::from(Arc::new(config)), TlsConnector::from(trusting(root).0));
        let listener = running.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        running.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, upstream, acceptor.clone(), connector.clone(), strips));
            }
        });
        Self { port, _running: running }
    }
}

async fn relay(
    mut client: TcpStream,
    upstream: u16,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    strips: bool,
) -> std::io::Result<()> {
    client.read_exact(&mut [0; 8]).await?;
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    server.write_all(&SSL_REQUEST).await?;
    server.read_exact(&mut [0]).await?;
    let mut server = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), server).await?;
    // The start-up packet, and the mechanisms that are offered.
    let mut piece = vec![0; 4096];
    let count = client.read(&mut piece).await?;
    server.write_all(&piece[..count]).await?;
    let count = server.read(&mut piece).await?;
    let offer = String::from_utf8_lossy(&piece[..count]).into_owned();
    if strips && offer.contains("SCRAM-SHA-256-PLUS\0") {
        let body = b"\0\0\0\x0aSCRAM-SHA-256\0\0";
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        client.write_all(&[b"R", &length[..], body].concat()).await?;
    } else {
        client.write_all(&piece[..count]).await?;
    }
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

#[test]
fn scram_is_bound_to_the_tls_connection_on_both_sides() {
    let mut trial = Trial::small();
    let root = trial.data().join("gateway/root.crt");
    reads(with_password(&trial, psql(&trial, "app", trial.port)).env("PGCHANNELBINDING", "require"));
    reads(with_password(&trial, psql(&trial, "app", trial.port)).env("PGCHANNELBINDING", "disable"));
    psycopg_binds(&trial, &root);

    let other = Authority::create(&trial, "somebody else");
    let certificate = other.issue(&trial, "somebody in between", false);
    let between = Between::start(&certificate, trial.port, &root, false);
    let through = |binding: &str, port: u16| {
        let mut command = with_password(&trial, psql(&trial, "app", port));
        command.env("PGCHANNELBINDING", binding).env("PGSSLMODE", "require").env_remove("PGSSLROOTCERT");
        command
    };
    fails(&mut through("require", between.port), &["SCRAM channel binding negotiation error", "Let TLS reach"]);
    fails(&mut through("prefer", between.port), &["SCRAM channel binding negotiation error"]);
    let stripping = Between::start(&certificate, trial.port, &root, true);
    fails(&mut through("prefer", stripping.port), &["SCRAM channel binding negotiation error", "was told that"]);
    fails(&mut through("require", stripping.port), &["channel binding is required"]);
    raw_clients_are_refused(&trial);

    // The same between the gateway and the processor; the gateway trusts whoever issued that certificate.
    let processor_root = trial.processor().join("root.crt");
    let (port, both) = (trial.port + 1, trial.folder.path().join("both.crt"));
    let roots = [&processor_root, &other.root].map(|path| std::fs::read_to_string(path).unwrap());
    trial.write("both.crt", &roots.concat());
    for strips in [false, true] {
        let between = Between::start(&certificate, port, &processor_root, strips);
        let change = |config: &str| {
            let hosts = format!("hosts = [\"127.0.0.1:{}\"]", between.port);
            let config: Vec<_> =
                config.lines().map(|line| if line.starts_with("hosts") { &hosts } else { line }).collect();
            config.join("\n").replace(&processor_root.display().to_string(), &both.display().to_string()) + "\n"
        };
        if strips {
            trial.restart_gateway(change)
        } else {
            trial.take_apart(change)
        }
        let mut command = with_password(&trial, psql(&trial, "app", trial.port));
        let said = fails(&mut command, &["the processor's PostgreSQL cannot be used", "SCRAM channel binding"]);
        assert_eq!(said.err.contains("negotiation error"), strips, "{said:?}");
    }
    let straight = format!("hosts = [\"127.0.0.1:{port}\"]");
    trial.restart_gateway(|config| {
        config
            .lines()
            .map(|line| if line.starts_with("hosts") { &straight } else { line })
            .collect::<Vec<_>>()
            .join("\n")
    });
    reads(&mut with_password(&trial, psql(&trial, "app", trial.port)));
}

fn psycopg_binds(trial: &Trial, root: &Path) {
    let Some(python) = python() else { return };
    let dsn = format!(
        "host=127.0.0.1 port={} user=app dbname={DATABASE} channel_binding=require sslmode=verify-full sslrootcert={}",
        trial.port,
        root.display()
    );
    let script =
        "import os, psycopg; print(psycopg.connect(os.environ['DSN']).execute('SELECT body FROM note').fetchone()[0])";
    let mut command = with_password(trial, Command::new(python));
    reads(command.args(["-c", script]).env("DSN", dsn));
}

/// What no well-behaved client does.
fn raw_clients_are_refused(trial: &Trial) {
    let password = std::fs::read_to_string(trial.data().join("application/password")).unwrap();
    let wrong_hash = || ChannelBinding::tls_server_end_point(vec![7; 32]);
    for (mechanism, binding, code) in [
        ("SCRAM-SHA-256-PLUS", wrong_hash(), "28000"),
        ("SCRAM-SHA-256", ChannelBinding::unrequested(), "28000"),
        ("SCRAM-SHA-256", wrong_hash(), "08P01"),
        ("SCRAM-SHA-256-PLUS", ChannelBinding::unsupported(), "08P01"),
        ("SCRAM-SHA-512", ChannelBinding::unsupported(), "08P01"),
    ] {
        let mut raw = trial.raw();
        let told = raw.sign_in_bound(&startup("app"), password.trim(), mechanism, binding).unwrap_err();
        assert_eq!((told.code.as_str(), told.severity.as_str()), (code, "FATAL"), "{mechanism}: {told:?}");
        assert_eq!(raw.until_closed(), None);
    }
}

#[test]
fn certificates_sign_in_on_both_sides() {
    let mut trial = Trial::small();
    let authority = Authority::create(&trial, "clients");
    let stranger = Authority::create(&trial, "strangers");
    let root = authority.root.display().to_string();
    trial.take_apart(|config| {
        format!(
            "{config}\n[client_certificates]\nroot_certificate = \"{root}\"\n\n[client_certificates.principals]\n\
             \"intake server 3\" = \"app\"\n\"desk 1\" = \"clerk\"\n"
        )
    });
    let with = |user: &str, certificate: &(PathBuf, PathBuf)| {
        let mut command = psql(&trial, user, trial.port);
        command.env("PGSSLCERT", &certificate.0).env("PGSSLKEY", &certificate.1);
        command
    };
    let without = |user: &str| {
        let mut command = psql(&trial, user, trial.port);
        command.env("PGSSLCERT", "/nowhere.crt");
        command
    };
    let intake = authority.issue(&trial, "intake server 3", false);
    let desk = authority.issue(&trial, "desk 1", false);
    reads(&mut with("app", &intake));
    // A principal that has a password too may use it, with whatever certificate.
    reads(&mut with_password(&trial, without("app")));
    reads(&mut with_password(&trial, with("app", &desk)));
    fails(&mut with("app", &desk), &["no password supplied"]);
    // This one has no password.
    fails(&mut with_password(&trial, without("clerk")), &["connection requires a valid client certificate", "sslcert"]);
    let wrong = ["certificate authentication failed for user \"clerk\"", "\"intake server 3\"", "client_certificates"];
    fails(&mut with_password(&trial, with("clerk", &intake)), &wrong);
    // It is in, and has no mandate.
    fails(&mut with("clerk", &desk), &["42501", "no mandate"]);
    let expired = authority.issue(&trial, "intake server 3", true);
    fails(&mut with_password(&trial, with("app", &expired)), &["expired"]);
    let strange = stranger.issue(&trial, "intake server 3", false);
    fails(&mut with_password(&trial, with("app", &strange)), &["unknown ca"]);

    the_gateway_shows_a_certificate(&mut trial, &authority);
}

fn the_gateway_shows_a_certificate(trial: &mut Trial, authority: &Authority) {
    let (certificate, key) = authority.issue(trial, "drieslot_gateway", false);
    let data = trial.processor().join("data");
    let hba = |method: &str| {
        let text = format!("local all all scram-sha-256\nhostssl all drieslot_gateway 127.0.0.1/32 {method}\n");
        std::fs::write(data.join("pg_hba.conf"), text).unwrap();
    };
    let settings = std::fs::read_to_string(data.join("postgresql.conf")).unwrap();
    std::fs::write(data.join("postgresql.conf"), format!("{settings}\nssl_ca_file = '{}'\n", authority.root.display()))
        .unwrap();
    hba("cert");
    trial.stop_part("processor");
    trial.start_part("processor");
    let reads_as_app = |trial: &Trial| reads(&mut with_password(trial, psql(trial, "app", trial.port)));
    let fails_as_app = |trial: &Trial, why: &str| {
        let mut command = with_password(trial, psql(trial, "app", trial.port));
        fails(&mut command, &["the processor's PostgreSQL cannot be used", why]);
    };
    fails_as_app(trial, "valid client certificate");
    let shown = format!("certificate = \"{}\"\ncertificate_key = \"{}\"\n", certificate.display(), key.display());
    // With a password in the configuration, the processor must ask for it.
    trial.restart_gateway(|config| config.replace("password_file", &format!("{shown}password_file")));
    fails_as_app(trial, "lets the role in without SCRAM-SHA-256");
    hba("scram-sha-256 clientcert=verify-full");
    trial.superuser("postgres", "SELECT pg_reload_conf()");
    reads_as_app(trial);
    trial.restart_gateway(|config| {
        config.lines().filter(|line| !line.starts_with("password_file")).collect::<Vec<_>>().join("\n")
    });
    fails_as_app(trial, "it asks for a password");
    hba("cert");
    trial.superuser("postgres", "SELECT pg_reload_conf()");
    reads_as_app(trial);
}
