//! docs/operations.md, command by command on hosts of its own each, where systemd runs the units; then witnesses that are cut
//! off, stalled, killed and shown a second history, and custodians that are killed, cut off, and gone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

mod hosts;
mod page;
mod witnesses;

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use hosts::Hosts;
use page::Step;
use rustix::process::{Pid, Signal, kill_process};

const HOSTS: [&str; 15] = [
    "register",
    "structure",
    "access",
    "keys",
    "gateway",
    "processor",
    "application",
    "desk",
    "sam",
    "ann",
    "kim",
    "hilde",
    "w1",
    "w2",
    "w3",
];
/// Those where the page has systemd start a unit.
const BOOTED: [&str; 8] = ["register", "structure", "access", "keys", "gateway", "w1", "w2", "w3"];
/// Seconds, instead of the page's 900.
const LEASE_S: u64 = 8;
const READ: &str = "SELECT name FROM newcomers WHERE national_number = '85073012345'";
const CLIENT: &str = "export PGHOST=gateway PGUSER=app_intake PGDATABASE=civic PGSSLMODE=verify-full PGSSLROOTCERT=gateway.crt \
                      PGPASSFILE=.pgpass\n";

pub(crate) fn end(child: &mut Child) {
    if let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(id, Signal::QUIT);
    }
    std::thread::sleep(Duration::from_millis(100));
    let _ = child.kill();
    let _ = child.wait();
}

/// The processor is somebody else's: a PostgreSQL with TLS, which this page finds there.
fn start_processor(hosts: &mut Hosts) {
    let bin = newest_postgres();
    hosts.sh(
        "processor",
        &format!(
            "install -d -o postgres /var/lib/postgresql /run/postgresql
openssl req -x509 -newkey rsa:2048 -noenc -days 2 -subj /CN=root -keyout root.key -out root.crt 2> /dev/null
openssl req -newkey rsa:2048 -noenc -subj /CN=processor -keyout server.key -out server.csr 2> /dev/null
printf 'subjectAltName=DNS:processor\\nbasicConstraints=CA:FALSE\\n' > extensions
openssl x509 -req -in server.csr -CA root.crt -CAkey root.key -days 2 -extfile extensions -out server.crt 2> /dev/null
runuser -u postgres -- {bin}/initdb -D /var/lib/postgresql/data --auth=peer > /dev/null
install -o postgres -m 0600 server.key server.crt /var/lib/postgresql/data/
echo 'hostssl civic drieslot_agency {} scram-sha-256' >> /var/lib/postgresql/data/pg_hba.conf",
            "10.77.0.5/32"
        ),
    );
    let settings = ["listen_addresses=*", "ssl=on", "unix_socket_directories=/run/postgresql", "fsync=off"];
    let run = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"].map(str::to_owned).into_iter();
    let run = run.chain([format!("{bin}/postgres"), "-D".into(), "/var/lib/postgresql/data".into()]);
    let run = run.chain(settings.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
    hosts.serve("processor", &run.collect::<Vec<_>>());
    hosts.wait_port("processor", 5432);
}

fn newest_postgres() -> String {
    let folders = std::fs::read_dir("/usr/lib/postgresql").unwrap().flatten().map(|entry| entry.path());
    let newest = folders.filter(|path| path.join("bin/initdb").is_file()).max().unwrap();
    newest.join("bin").display().to_string()
}

/// Runs a block, and waits for the unit that it starts.
fn run(hosts: &Hosts, host: &str, script: &str) {
    let script = script.replace("lease_s = 900", &format!("lease_s = {LEASE_S}"));
    let script = script.replace("witness_grace_s = 300", &format!("witness_grace_s = {}", witnesses::GRACE_S));
    print!("{}", hosts.sh(host, &script));
    if script.contains("systemctl enable --now ") || script.contains("systemctl restart ") {
        hosts.wait_port(host, port(host));
    }
}

fn port(host: &str) -> u16 {
    match host {
        "gateway" => 5432,
        "register" => 7000,
        "w1" | "w2" | "w3" => 7380,
        _ => 7100,
    }
}

fn follow_the_page(hosts: &Hosts) {
    let steps = page::steps();
    assert!(steps.len() > 40, "{steps:?}");
    for step in steps {
        match step {
            Step::Run { hosts: on, script } => on.iter().for_each(|host| run(hosts, host, &script)),
            Step::Carry { from, file, to } => {
                for host in to {
                    let there = hosts.path(&host, &format!("/root/{file}"));
                    std::fs::copy(hosts.path(&from, &format!("/root/{file}")), there).unwrap();
                }
            }
        }
    }
}

/// What a statement of the application gives, or what it is told.
fn ask(hosts: &Hosts, sql: &str) -> Result<String, String> {
    let script = format!("{CLIENT}psql -X --no-align --tuples-only --set VERBOSITY=verbose --command \"{sql}\"");
    let output = hosts.try_sh("application", &script);
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn reads(hosts: &Hosts, when: &str) {
    assert_eq!(ask(hosts, READ), Ok("Amina Diallo".into()), "{when}");
}

/// Keys are gone: a protected column is refused with the reason, soon, and a plain one is served.
fn closed(hosts: &Hosts, functions: &[&str]) {
    let since = Instant::now();
    let said = loop {
        let asked = Instant::now();
        let said = ask(hosts, READ);
        assert!(asked.elapsed() < Duration::from_secs(20), "a statement hung for {:?}", asked.elapsed());
        match said {
            Err(said) => break said,
            Ok(_) => assert!(since.elapsed() < Duration::from_secs(2 * LEASE_S), "readable after the lease"),
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    let named = functions.iter().any(|function| said.contains(&format!("custodian of {function}")));
    assert!(said.contains("58000") && said.contains("HINT") && named, "{said}");
    assert_eq!(ask(hosts, "SELECT id FROM newcomers"), Ok("1".into()), "a plain column needs no key");
}

fn open_again(hosts: &Hosts, what: &str) {
    let since = Instant::now();
    while ask(hosts, READ) != Ok("Amina Diallo".into()) {
        assert!(since.elapsed() < Duration::from_secs(30), "{what}: {:?}", ask(hosts, READ));
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_page_is_followed_and_custodians_are_killed_cut_off_and_lost() {
    if !hosts::possible() {
        eprintln!(
            "SKIPPED: making hosts takes root, network and mount namespaces, control groups (version 2), systemd and iproute2"
        );
        return;
    }
    let folder = tempfile::Builder::new().prefix("ds-hosts-").tempdir().unwrap();
    let mut hosts = Hosts::new(folder.path(), &HOSTS, &BOOTED);
    release(&hosts);
    start_processor(&mut hosts);
    follow_the_page(&hosts);
    reads(&hosts, "after the page");
    let dump = "runuser -u postgres -- psql -X -d civic -c 'TABLE newcomers'";
    let seen = hosts.sh("processor", dump);
    assert!(seen.contains("\\x") && !seen.contains("Amina") && !seen.contains("85073012345"), "{seen}");
    let others =
        "runuser -u postgres -- psql -XAtc \"SELECT has_database_privilege('pg_monitor', 'civic', 'CONNECT')\"";
    assert_eq!(hosts.sh("processor", others), "f\n", "another role comes into the database");

    confined(&hosts);
    witnesses::fail(&hosts);

    for part in ["structure", "access", "keys"] {
        let unit = format!("drieslot-custodian@agency-{part}");
        let runs = format!("systemctl show --property=MainPID --value {unit}");
        let before = hosts.sh(part, &runs);
        hosts.sh(part, &format!("systemctl kill --signal=KILL {unit}"));
        for _ in 0..5 {
            reads(&hosts, &format!("{part} was killed a moment ago"));
        }
        let killed = Instant::now();
        while [before.as_str(), "0\n"].contains(&hosts.sh(part, &runs).as_str()) {
            assert!(killed.elapsed() < Duration::from_secs(20), "systemd does not start {unit} again");
        }
        hosts.wait_port(part, 7100);
        let restarted = Instant::now();
        while restarted.elapsed() < Duration::from_secs(LEASE_S) {
            reads(&hosts, &format!("{part} was restarted {:?} ago", restarted.elapsed()));
        }
    }

    hosts.sh("keys", "ip link set eth0 down");
    reads(&hosts, "cut off, within the lease");
    closed(&hosts, &["keys"]);
    hosts.sh("keys", "ip link set eth0 up");
    open_again(&hosts, "the network is back");

    for host in ["access", "gateway", "register"] {
        let failed = hosts.sh(host, "systemctl list-units --no-legend --state=failed 'drieslot-*'");
        assert_eq!(failed, "", "{host}");
    }
    hosts.sh("gateway", "systemctl restart drieslot-gateway@agency-gateway");
    hosts.wait_port("gateway", 5432);
    open_again(&hosts, "the gateway was stopped and started in order");
    hosts.power_off("structure");
    hosts.power_off("keys");
    reads(&hosts, "two custodians are gone, within the lease");
    closed(&hosts, &["structure", "keys"]);
    witnesses::split(&hosts);
}

/// What the units promise holds in the running processes: their own user, no capability, no new rights, one writable folder, and
/// a credential that nobody else can read.
fn confined(hosts: &Hosts) {
    for host in BOOTED {
        let (kind, instance) = match host {
            "register" | "gateway" => (host, format!("agency-{host}")),
            "w1" | "w2" | "w3" => ("witness", format!("witness-{host}")),
            _ => ("custodian", format!("agency-{host}")),
        };
        let unit = format!("drieslot-{kind}@{}", instance.trim_start_matches("witness-"));
        let main = hosts.sh(host, &format!("systemctl show --property=MainPID --value {unit}"));
        let main = main.trim();
        let status = hosts.sh(host, &format!("cat /proc/{main}/status"));
        for wanted in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(status.contains(wanted), "{unit}: {wanted}\n{status}");
        }
        let user = hosts.sh(host, &format!("stat --format=%U /proc/{main}"));
        assert_eq!(user, format!("drieslot-{instance}\n"));
        // Not even root could write there.
        let inside = |script: &str| hosts.try_sh(host, &format!("nsenter --mount --target {main} -- sh -c '{script}'"));
        for folder in ["/etc/drieslot", "/usr/local/bin", "/var/lib", "/root"] {
            assert!(!inside(&format!("touch {folder}/x")).status.success(), "{unit} writes in {folder}");
        }
        let own = format!("/var/lib/drieslot/{instance}");
        assert!(inside(&format!("touch {own}/x && rm {own}/x")).status.success(), "{unit} cannot write in {own}");
        if kind == "custodian" {
            let mode = hosts.sh(host, &format!("stat --format=%U.%a /run/credentials/{unit}.service/sealing.key"));
            assert_eq!(mode, format!("drieslot-agency-{host}.400\n"));
        }
    }
}

/// What a release holds, in the home of each host that needs it.
fn release(hosts: &Hosts) {
    let deploy = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    for host in HOSTS[..8].iter().chain(&HOSTS[12..]) {
        let home = hosts.path(host, "/root");
        let program = env!("CARGO_BIN_EXE_drieslot");
        let stripped = Command::new("strip").arg("-o").arg(home.join("drieslot")).arg(program).status();
        assert!(stripped.unwrap().success());
        assert!(Command::new("cp").arg("-r").arg(&deploy).arg(&home).status().unwrap().success());
    }
}
