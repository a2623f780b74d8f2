//! Hosts on this machine: each has a network, a `/etc`, a `/var/lib`, a `/run` and a home of its own, by Linux namespaces, and
//! they meet at one bridge. Ends what it started, by process id.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What every host has for itself.
const OWN: [&str; 5] = ["/etc", "/var/lib", "/run", "/root", "/usr/local/bin"];
const SWITCH: &str = "switch";

pub(crate) struct Hosts {
    folder: PathBuf,
    /// The process that keeps each host's namespaces.
    keepers: BTreeMap<String, Child>,
    /// Services, by host and name.
    services: BTreeMap<String, Service>,
}

struct Service {
    host: String,
    command: Vec<String>,
    child: Child,
}

/// Whether this machine lets us make hosts.
pub(crate) fn possible() -> bool {
    let made = "ip link add ds-bridge type bridge && ip link add ds-one type veth peer name ds-two && mount -t tmpfs tmpfs /mnt";
    let tried = Command::new("unshare").args(["--net", "--mount", "sh", "-c", made]).output();
    rustix::process::geteuid().is_root() && tried.is_ok_and(|tried| tried.status.success())
}

fn ok(output: &Output, what: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}\n{}{}", text(&output.stdout), text(&output.stderr));
}

impl Hosts {
    pub(crate) fn new(folder: &Path, names: &[&str]) -> Self {
        let mut hosts = Self { folder: folder.into(), keepers: BTreeMap::new(), services: BTreeMap::new() };
        hosts.keep(SWITCH, "exec sleep infinity");
        hosts.sh(SWITCH, "ip link add bridge type bridge && ip link set bridge up");
        let table: String = names.iter().enumerate().map(|(at, name)| format!("10.77.0.{} {name}\n", at + 1)).collect();
        for (at, name) in names.iter().enumerate() {
            let root = hosts.root(name);
            std::fs::create_dir_all(&root).unwrap();
            ok(&Command::new("cp").args(["--archive", "/etc"]).arg(&root).output().unwrap(), "a copy of /etc");
            let mut binds = String::new();
            for own in OWN {
                let at = root.join(&own[1..]);
                std::fs::create_dir_all(&at).unwrap();
                binds += &format!("mount --bind {} {own} && ", at.display());
            }
            std::fs::write(root.join("etc/hosts"), format!("127.0.0.1 localhost\n{table}")).unwrap();
            hosts.keep(name, &format!("{binds} exec sleep infinity"));
            hosts.plug(name, at + 1);
        }
        hosts
    }

    fn keep(&mut self, name: &str, script: &str) {
        let keeper =
            Command::new("unshare").args(["--net", "--mount", "sh", "-ec", script]).stdin(Stdio::null()).spawn();
        let keeper = keeper.unwrap();
        let command = format!("/proc/{}/cmdline", keeper.id());
        let started = Instant::now();
        self.keepers.insert(name.into(), keeper);
        while !std::fs::read_to_string(&command).unwrap().starts_with("sleep") {
            assert!(started.elapsed() < Duration::from_secs(10), "the host {name} does not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn plug(&self, name: &str, at: usize) {
        let keeper = self.keepers[name].id();
        self.sh(
            SWITCH,
            &format!(
                "ip link add port{at} type veth peer name eth0 netns {keeper} && \
                 ip link set port{at} master bridge && ip link set port{at} up"
            ),
        );
        self.sh(name, &format!("ip link set lo up && ip addr add 10.77.0.{at}/24 dev eth0 && ip link set eth0 up"));
    }

    fn root(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file of a host, as it is seen from here.
    pub(crate) fn path(&self, host: &str, path: &str) -> PathBuf {
        self.root(host).join(path.trim_start_matches('/'))
    }

    fn enter(&self, host: &str) -> Command {
        let mut command = Command::new("nsenter");
        let keeper = self.keepers.get(host).unwrap_or_else(|| panic!("the page names a host `{host}`"));
        command.args(["--net", "--mount", "--wdns=/root", "--target", &keeper.id().to_string(), "--"]);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
        command.env("PART", host).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command
    }

    /// Runs a script as root on a host, as somebody would type it.
    pub(crate) fn try_sh(&self, host: &str, script: &str) -> Output {
        self.enter(host).args(["bash", "-euo", "pipefail", "-c", script]).output().unwrap()
    }

    pub(crate) fn sh(&self, host: &str, script: &str) -> String {
        let output = self.try_sh(host, script);
        ok(&output, &format!("on {host}:\n{script}"));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts a service and leaves it running.
    pub(crate) fn serve(&mut self, host: &str, name: &str, command: &[String]) {
        let log = File::options().create(true).append(true).open(self.folder.join(format!("{name}.log"))).unwrap();
        let mut enter = self.enter(host);
        enter.args(command).stdout(log.try_clone().unwrap()).stderr(log);
        let child = enter.spawn().unwrap();
        let service = Service { host: host.into(), command: command.into(), child };
        self.services.insert(name.into(), service);
    }

    /// kill -9 of a service, by its id.
    pub(crate) fn kill(&mut self, name: &str) {
        let service = self.services.get_mut(name).unwrap();
        service.child.kill().unwrap();
        service.child.wait().unwrap();
    }

    /// Starts a killed service again, as systemd would.
    pub(crate) fn restart(&mut self, name: &str) {
        let service = self.services.remove(name).unwrap();
        self.serve(&service.host, name, &service.command);
    }

    pub(crate) fn wait_port(&self, host: &str, port: u16) {
        let started = Instant::now();
        while !self.try_sh(host, &format!(": < /dev/tcp/{host}/{port}")).status.success() {
            assert!(started.elapsed() < Duration::from_secs(30), "nothing answers on {host}:{port}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn logs(&self) -> String {
        let mut said = String::new();
        for name in self.services.keys() {
            let text = std::fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            said += &format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(12)..].join("\n"));
        }
        said
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        for service in self.services.values_mut() {
            // PostgreSQL ends its children on SIGQUIT.
            crate::end(&mut service.child);
        }
        for keeper in self.keepers.values_mut() {
            let _ = keeper.kill();
            let _ = keeper.wait();
        }
    }
}
