//! litewitness, as its authors publish it, with a stock ssh-agent that holds its key.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::common::psql::run;
use super::common::witnesses::{Witness, read, within};
use super::common::{PARTS, Trial};
use super::tessera::target;

pub(crate) const NAME: &str = "witness.example/lite";
/// The newest version that Go 1.26 builds.
const PACKAGE: &str = "filippo.io/torchwood/cmd/litewitness@v0.6.1";

/// What its `witnessctl add-log` and `add-key` do; that program needs a module that is not to be had.
const ADD_LOGS: &str = "
import base64, hashlib, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for key in sys.argv[2:]:
    origin = key.split('+')[0]
    empty = base64.b64encode(hashlib.sha256(b'').digest()).decode()
    db.execute('INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)', (origin, empty))
    db.execute('INSERT INTO key (origin, key) VALUES (?, ?)', (origin, key))
db.commit()
";

/// Ended by its own id.
struct Agent(Child);

/// The witness runs as a part of the trial; the agent ends with this.
pub(crate) struct LiteWitness {
    _agent: Agent,
    vkey: String,
    port: u16,
}

fn build() -> PathBuf {
    let built = run(Command::new("go").args(["install", PACKAGE]).env("GOBIN", target()), "");
    assert!(built.ok, "litewitness cannot be built: {}{}", built.out, built.err);
    target().join("litewitness")
}

impl LiteWitness {
    pub(crate) fn start(trial: &mut Trial, port: u16) -> Self {
        let place = trial.folder.path().to_owned();
        let program = place.join("litewitness");
        assert!(Command::new("cp").arg(build()).arg(&program).status().unwrap().success());
        let ran = |mut command: Command| {
            let said = run(&mut command, "");
            assert!(said.ok, "{}{}", said.out, said.err);
            said.out
        };
        let mut keygen = trial.as_user("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", "lite.key"]);
        ran(keygen);
        let mut agent = trial.as_user("ssh-agent");
        agent.args(["-D", "-a", "lite.agent"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _agent = Agent(agent.spawn().unwrap());
        within(10, "ssh-agent does not start", || place.join("lite.agent").exists());
        let mut add = trial.as_user("ssh-add");
        add.args(["-q", "lite.key"]).env("SSH_AUTH_SOCK", "lite.agent");
        ran(add);
        let mut fingerprint = trial.as_user("ssh-keygen");
        fingerprint.args(["-l", "-f", "lite.key.pub"]);
        let fingerprint = ran(fingerprint).split(' ').nth(1).unwrap().to_owned();
        let mut command = trial.as_user(&program);
        command.args(["-name", NAME, "-db", "lite.db", "-ssh-agent", "lite.agent", "-key", &fingerprint]);
        command.args(["-listen", &format!("127.0.0.1:{port}")]);
        trial.start_apart("lite", command, port);
        let mut logs = trial.as_user("python3");
        logs.args(["-c", ADD_LOGS, "lite.db"]).args(PARTS.map(|part| trial.journal_vkey(part)));
        ran(logs);
        let log = read(&place.join("lite.apart.log"));
        let vkey = log.split("vkey=").nth(1).unwrap().split_whitespace().next().unwrap();
        Self { _agent, vkey: vkey.trim_matches('"').to_owned(), port }
    }

    pub(crate) fn witness(&self) -> Witness {
        Witness { vkey: self.vkey.clone(), port: self.port }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
