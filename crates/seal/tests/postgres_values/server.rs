//! A PostgreSQL of our own: in a directory of its own, on a Unix socket only, stopped and removed at the end.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    bin: PathBuf,
    dir: PathBuf,
    user: Option<(u32, u32)>,
}

impl Server {
    /// `None` where no PostgreSQL is installed.
    pub fn start(name: &str) -> Option<Self> {
        let installed = (15..=18).map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
        let chosen = std::env::var_os("DRIESLOT_TEST_POSTGRES").map(PathBuf::from);
        let bin = chosen.into_iter().chain(installed).find(|bin| bin.join("postgres").exists())?;
        let dir = std::env::temp_dir().join(format!("drieslot-seal-{name}-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let root = id("-u", "") == Some(0);
        let user = root.then(|| (id("-u", "postgres").unwrap(), id("-g", "postgres").unwrap()));
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(&dir, Some(uid), Some(gid)).unwrap();
        }
        let server = Self { bin, dir, user };
        let data = server.dir.join("data");
        let initdb = server
            .command("initdb")
            .args(["--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
        let options =
            format!("-c listen_addresses='' -c fsync=off -c unix_socket_directories='{}'", server.dir.display());
        let started = server
            .command("pg_ctl")
            .args(["-w", "-t", "30", "-o", &options, "-l"])
            .arg(server.dir.join("log"))
            .arg("-D")
            .arg(&data)
            .arg("start")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(started.success(), "pg_ctl start failed");
        Some(server)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(&self.dir);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Writes a file for psql to read.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs a script and gives its rows, unaligned.
    pub fn psql(&self, script: &str) -> String {
        let begun = Instant::now();
        let mut child = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-h"])
            .arg(&self.dir)
            .env("PGCLIENTENCODING", "UTF8")
            .env("PGOPTIONS", "-c DateStyle=ISO")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let script = script.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success(), "psql failed");
        assert!(begun.elapsed() < Duration::from_secs(60), "psql was too slow");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.dir.join("data");
        let _ =
            self.command("pg_ctl").args(["-m", "immediate", "-D"]).arg(data).arg("stop").stdout(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(Path::new(&self.dir));
    }
}

fn id(which: &str, user: &str) -> Option<u32> {
    let mut command = Command::new("id");
    command.arg(which);
    if !user.is_empty() {
        command.arg(user);
    }
    String::from_utf8(command.output().ok()?.stdout).ok()?.trim().parse().ok()
}
