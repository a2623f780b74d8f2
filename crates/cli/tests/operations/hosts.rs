//! Hosts on this machine: each has a network, a `/etc`, a `/var/lib`, a `/run` and a home of its own, by Linux namespaces, and
//! they meet at one bridge. Some are booted: systemd is their process 1, and runs their units. Ends what it started, by its
//! process id.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What every host has for itself.
const OWN: [&str; 5] = ["/etc", "/var/lib", "/run", "/root", "/usr/local/bin"];
const SWITCH: &str = "switch";

/// A control group of the host's own, which is the root of all that it sees of them. Says its name.
const APART: &str = r#"
mount --make-rprivate /
mount -t cgroup2 none /mnt
group=$(mktemp --directory "/mnt/ds-host-XXXXXX")
echo $$ > "$group/cgroup.procs"
basename "$group" > "$1/group"
umount /mnt
exec unshare --fork --kill-child --pid --cgroup --uts --ipc --net bash -euo pipefail -c "$2" boot "$1"
"#;

/// Takes such a group away.
const TIDY: &str = r#"mount -t cgroup2 none /mnt; find "/mnt/$(cat "$1/group")" -depth -type d -exec rmdir {} +"#;

/// Over the machine's own files, which stay as they are: devices, processes and control groups of its own, then systemd.
const BOOT: &str = r#"
mkdir -p "$1/over"; mount -t tmpfs none "$1/over"; mkdir "$1/over/upper" "$1/over/work" "$1/over/root"
root=$1/over/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/over/upper,workdir=$1/over/work" "$root"
for own in /etc /var/lib /root /usr/local/bin; do mount --bind "$1$own" "$root$own"; done
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs none "$root/run"
mount -t tmpfs none "$root/tmp"
mount -t tmpfs none "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts devpts "$root/dev/pts" -o newinstance,ptmxmode=0666,mode=620,gid=5
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
  IFS=: read -r name major minor <<< "$device"; mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
rm -rf "$root"/etc/systemd/system/*.wants
cd "$root"; mkdir -p old; pivot_root . old; umount -l /old; mount --make-rshared /
export container=drieslot
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal
"#;

pub(crate) struct Hosts {
    folder: PathBuf,
    /// The process that keeps each host's namespaces.
    keepers: BTreeMap<String, Keeper>,
    booted: BTreeSet<String>,
    /// What runs on hosts without systemd.
    services: Vec<(String, Child)>,
}

struct Keeper {
    child: Child,
    /// Whose namespaces they are: systemd's, or the child's.
    id: u32,
}

/// Whether this machine lets us make hosts, and boot them.
pub(crate) fn possible() -> bool {
    let made = "ip link add ds-bridge type bridge && ip link add ds-one type veth peer name ds-two && mount -t tmpfs tmpfs /mnt \
                && mkdir /mnt/c && mount -t cgroup2 none /mnt/c && rmdir $(mktemp -d /mnt/c/ds-XXXXXX) && test -x /lib/systemd/systemd";
    let tried = Command::new("unshare").args(["--net", "--mount", "--cgroup", "sh", "-c", made]).output();
    rustix::process::geteuid().is_root() && tried.is_ok_and(|tried| tried.status.success())
}

fn ok(output: &Output, what: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}\n{}{}", text(&output.stdout), text(&output.stderr));
}

impl Hosts {
    /// `booted` are those of `names` that run systemd.
    pub(crate) fn new(folder: &Path, names: &[&str], booted: &[&str]) -> Self {
        let booted = booted.iter().map(|name| (*name).to_owned()).collect();
        let mut hosts = Self { folder: folder.into(), keepers: BTreeMap::new(), booted, services: Vec::new() };
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
            match hosts.booted.contains(*name) {
                true => hosts.boot(name),
                false => hosts.keep(name, &format!("{binds} exec sleep infinity")),
            }
            hosts.plug(name, at + 1);
        }
        hosts
    }

    fn keep(&mut self, name: &str, script: &str) {
        let keeper =
            Command::new("unshare").args(["--net", "--mount", "sh", "-ec", script]).stdin(Stdio::null()).spawn();
        let child = keeper.unwrap();
        let (id, command) = (child.id(), format!("/proc/{}/cmdline", child.id()));
        self.keepers.insert(name.into(), Keeper { child, id });
        until(&format!("the host {name} does not come up"), || {
            std::fs::read_to_string(&command).unwrap().starts_with("sleep")
        });
    }

    fn boot(&mut self, name: &str) {
        let log = File::create(self.folder.join(format!("{name}.boot.log"))).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-euo", "pipefail", "-c", APART, "apart"]).arg(self.root(name)).arg(BOOT);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let (above, mut id) = (child.id(), child.id());
        let own = |id: u32| std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        until(&format!("systemd does not begin on {name}"), || {
            let children = std::fs::read_to_string(format!("/proc/{above}/task/{above}/children")).unwrap_or_default();
            id = children.trim().parse().unwrap_or(above);
            own(id).starts_with("/lib/systemd/systemd")
        });
        self.keepers.insert(name.into(), Keeper { child, id });
        until(&format!("{name} does not finish booting"), || {
            let state = self.try_sh(name, "systemctl is-system-running || true").stdout;
            ["running\n", "degraded\n"].iter().any(|done| state == done.as_bytes())
        });
    }

    fn plug(&self, name: &str, at: usize) {
        let keeper = self.keepers[name].id;
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
        command.args(["--net", "--mount", "--wdns=/root", "--target", &keeper.id.to_string()]);
        if self.booted.contains(host) {
            command.args(["--pid", "--cgroup", "--uts", "--ipc"]);
        }
        command.arg("--");
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

    /// Starts a process on a host without systemd and leaves it running.
    pub(crate) fn serve(&mut self, host: &str, command: &[String]) {
        let log = File::create(self.folder.join(format!("{host}.log"))).unwrap();
        let mut enter = self.enter(host);
        enter.args(command).stdout(log.try_clone().unwrap()).stderr(log);
        let child = enter.spawn().unwrap();
        self.services.push((host.into(), child));
    }

    /// A host is gone with all that ran on it, at once.
    pub(crate) fn power_off(&mut self, host: &str) {
        let mut keeper = self.keepers.remove(host).unwrap();
        keeper.child.kill().unwrap();
        keeper.child.wait().unwrap();
    }

    pub(crate) fn wait_port(&self, host: &str, port: u16) {
        until(&format!("nothing answers on {host}:{port}\n{}", self.logs()), || {
            self.try_sh(host, &format!(": < /dev/tcp/{host}/{port}")).status.success()
        });
    }

    pub(crate) fn logs(&self) -> String {
        let mut said = String::new();
        let mut add = |name: &str, text: &str| {
            let lines: Vec<_> = text.lines().collect();
            said += &format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(12)..].join("\n"));
        };
        for (name, _) in &self.services {
            add(name, &std::fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default());
        }
        for name in self.booted.iter().filter(|name| self.keepers.contains_key(*name)) {
            let output = self.try_sh(name, "journalctl --no-pager --lines 30").stdout;
            add(name, &String::from_utf8_lossy(&output));
        }
        said
    }
}

fn until(otherwise: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "{otherwise}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        for (_, child) in &mut self.services {
            // PostgreSQL ends its children on SIGQUIT.
            crate::end(child);
        }
        for keeper in self.keepers.values_mut() {
            let _ = keeper.child.kill();
            let _ = keeper.child.wait();
        }
        for name in &self.booted {
            let mut tidy = Command::new("unshare");
            tidy.args(["--mount", "bash", "-eu", "-c", TIDY, "tidy"]).arg(self.root(name));
            // What was killed takes a moment to end.
            until("a control group stays", || tidy.output().is_ok_and(|tidied| tidied.status.success()));
        }
    }
}
