//! The trial's own PostgreSQL: what stands at the processor in real life.
//!
//! Owns its folder, its start and its end. It listens on loopback with TLS only; its superuser signs in over a socket in
//! the folder, as somebody at the processor would.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::process::Command;
use tokio_postgres::NoTls;

use crate::certificate::Certificates;
use crate::child::Child;
use crate::failure::failure;
use crate::files;

const READY_WITHIN: Duration = Duration::from_secs(60);
/// The socket's path must fit `sockaddr_un` together with `/.s.PGSQL.65535`.
const SOCKET_FOLDER_MAX_BYTES: usize = 90;
const VERSIONS: std::ops::RangeInclusive<u32> = 15..=18;
const SUPERUSER: &str = "postgres";

/// PostgreSQL's server programs.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    folder: PathBuf,
    version: u32,
}

impl Binaries {
    /// In `folder` if one is named, else on the PATH, else where Debian puts them; the newest that serves.
    pub(crate) async fn find(folder: Option<&Path>, path_variable: &str) -> Result<Self> {
        let folders = match folder {
            Some(folder) => vec![folder.to_owned()],
            None => std::env::split_paths(path_variable).chain(debian_folders()).collect(),
        };
        let mut found = Vec::new();
        for folder in folders.into_iter().filter(|folder| folder.join("initdb").is_file()) {
            if let Some(version) = version(&folder.join("postgres")).await {
                found.push(Self { folder, version });
            }
        }
        let newest = found.iter().filter(|binaries| VERSIONS.contains(&binaries.version)).max_by_key(|b| b.version);
        newest.cloned().ok_or_else(|| {
            failure(
                format!("no PostgreSQL server programs of version {} to {} found", VERSIONS.start(), VERSIONS.end()),
                "install them (Debian: `apt-get install postgresql-15`) or name their folder with --postgres-bin",
            )
        })
    }

    /// The major version.
    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    fn command(&self, program: &str) -> Command {
        Command::new(self.folder.join(program))
    }
}

fn debian_folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("bin")).collect()
}

async fn version(postgres: &Path) -> Option<u32> {
    let output = Command::new(postgres).arg("--version").output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(2)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The processor's folder and port.
pub(crate) struct Processor {
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    pub(crate) binaries: Binaries,
}

impl Processor {
    pub(crate) fn certificates(&self) -> Certificates {
        Certificates::at(&self.folder)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn superuser_password(&self) -> PathBuf {
        self.folder.join("superuser.password")
    }

    /// Makes the cluster, its certificates and its settings. The folder must not exist yet.
    pub(crate) async fn create(&self) -> Result<()> {
        if self.folder.as_os_str().len() > SOCKET_FOLDER_MAX_BYTES {
            let what = format!("the path {} is too long for a PostgreSQL socket", self.folder.display());
            return Err(failure(
                what,
                format!("choose a --data folder of at most {SOCKET_FOLDER_MAX_BYTES} bytes in all"),
            ));
        }
        files::make_folder(&self.folder)?;
        files::write_secret(&self.superuser_password(), &files::random_password()?)?;
        self.certificates().create("processor")?;
        let mut initdb = self.binaries.command("initdb");
        initdb.args(["--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"]);
        initdb.args(["--data-checksums", "--no-instructions", "--pwfile"]).arg(self.superuser_password());
        initdb.arg("--pgdata").arg(self.data());
        let output = initdb.kill_on_drop(true).output().await.context("initdb could not be started")?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(failure(format!("initdb failed: {why}"), "remove the data folder and start again"));
        }
        let configuration = self.data().join("postgresql.conf");
        let settings = files::read(&configuration)? + "\n" + &self.settings();
        files::write(&configuration, &settings)?;
        files::write(&self.data().join("pg_hba.conf"), HBA)
    }

    /// Nothing listens beyond loopback, nothing is spoken without TLS, and no statement or parameter is logged.
    fn settings(&self) -> String {
        let certificates = self.certificates();
        let quoted = |path: &Path| path.display().to_string().replace('\'', "''");
        format!(
            "# drieslot trial
listen_addresses = '127.0.0.1'
port = {}
unix_socket_directories = '{}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
ssl = on
ssl_cert_file = '{}'
ssl_key_file = '{}'
ssl_min_protocol_version = 'TLSv1.3'
log_statement = 'none'
log_min_error_statement = 'panic'
log_min_duration_statement = -1
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_error_verbosity = 'terse'
shared_buffers = '64MB'
",
            self.port,
            quoted(&self.folder),
            quoted(&certificates.certificate),
            quoted(&certificates.key),
        )
    }

    /// Starts it. It answers after [`Processor::wait_ready`].
    pub(crate) fn start(&self) -> Result<Child> {
        let mut command = self.binaries.command("postgres");
        command.arg("-D").arg(self.data());
        let log = self.folder.join("postgresql.log");
        // SIGINT is PostgreSQL's fast shutdown.
        Child::start("processor's PostgreSQL", command, &log, Signal::INT)
    }

    /// Waits until it answers.
    pub(crate) async fn wait_ready(&self, child: &mut Child) -> Result<()> {
        child.wait_ready(READY_WITHIN, async || self.superuser("postgres").await.is_ok()).await
    }

    /// A server that outlived a killed `drieslot up` in this very folder.
    pub(crate) async fn stop_left_over(&self) -> Result<()> {
        let status = self.binaries.command("pg_ctl").arg("status").arg("-D").arg(self.data()).output().await;
        if !status.context("pg_ctl could not be started")?.status.success() {
            return Ok(());
        }
        let mut stop = self.binaries.command("pg_ctl");
        stop.args(["stop", "--mode", "fast", "--wait", "--silent", "-D"]).arg(self.data());
        let output = stop.output().await.context("pg_ctl could not be started")?;
        if output.status.success() {
            return Ok(());
        }
        let what = format!("a PostgreSQL of an earlier run still runs in {}", self.data().display());
        Err(failure(what, "stop it with `pg_ctl stop -D` and that folder"))
    }

    /// A session of the processor's own superuser, over the socket.
    pub(crate) async fn superuser(&self, database: &str) -> Result<tokio_postgres::Client> {
        let password = files::read(&self.superuser_password())?;
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.folder).port(self.port).user(SUPERUSER).dbname(database).password(password.trim());
        let (client, connection) = config.connect(NoTls).await.context("no superuser session at the processor")?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Makes the role that the gateway signs in as, and a database of its own where one is named.
    pub(crate) async fn create_role(&self, role: &str, password: &str, database: Option<&str>) -> Result<()> {
        let session = self.superuser("postgres").await?;
        // Role and password are ours and hex; the database's name may come from a file.
        session.batch_execute(&format!("CREATE ROLE {role} LOGIN CREATEDB PASSWORD '{password}'")).await?;
        if let Some(database) = database {
            let quoted = database.replace('"', "\"\"");
            session.batch_execute(&format!("CREATE DATABASE \"{quoted}\" OWNER {role}")).await?;
        }
        Ok(())
    }
}

const HBA: &str = "# drieslot trial: the superuser over the socket, the gateway over TLS, nobody else.
local   all all                 scram-sha-256
hostssl all all 127.0.0.1/32    scram-sha-256
";

#[cfg(test)]
mod tests {
    use super::{Binaries, Processor};

    #[tokio::test]
    async fn a_missing_postgresql_is_one_clear_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(folder.path()), "").await.unwrap_err();
        let text = crate::failure::report(&error);
        assert!(text.contains("no PostgreSQL server programs") && text.contains("hint: install them"), "{text}");
    }

    /// Runs as the user that tests run as; PostgreSQL refuses root, and so this is checked by tests/up.rs there.
    #[tokio::test]
    async fn it_speaks_tls_only_and_keeps_its_superuser_to_the_socket() {
        if rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: initdb does not run as root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let binaries = Binaries::find(None, &std::env::var("PATH").unwrap()).await.unwrap();
        let processor = Processor { folder: folder.path().join("p"), port, binaries };
        processor.create().await.unwrap();
        let mut child = processor.start().unwrap();
        processor.wait_ready(&mut child).await.unwrap();
        processor.create_role("app", "0123456789abcdef", Some("app")).await.unwrap();
        let url = format!("host=127.0.0.1 port={port} user=app password=0123456789abcdef dbname=app");
        let plain = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.err().unwrap();
        assert!(plain.as_db_error().unwrap().message().contains("no encryption"), "{plain}");
        child.stop().await.unwrap();
        assert!(processor.superuser("postgres").await.is_err());
    }
}
