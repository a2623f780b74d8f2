//! Signing with key files and with agents: stock ssh-agent, and one that holds security keys; stock ssh-keygen is the judge.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

mod authenticator;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use authenticator::{Authenticator, PRESENT, VERIFIED};
use drieslot_register::signature::NAMESPACE;
use tempfile::TempDir;

const STATEMENT: &str = r#"kind = "revocation"
tenant = "agency.example"
id = "stop-intake"
issued = "2026-03-01T09:00:00Z"
mandate = "intake-2026"
why = "the application was replaced"
"#;
const KINDS: [(&str, &str); 3] = [("ed25519", "256"), ("ecdsa", "256"), ("rsa", "3072")];

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("ds-sign-").tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), STATEMENT).unwrap();
        Self { folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &str, args: &[&str], socket: Option<&Path>, input: &str) -> Output {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path()).env_remove("SSH_AUTH_SOCK").env_remove("DISPLAY");
        if let Some(socket) = socket {
            command.env("SSH_AUTH_SOCK", socket);
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// `KEY` and `KEY.pub` in a folder of their own.
    fn make_key(&self, name: &str, (kind, bits): (&str, &str), passphrase: &str) {
        std::fs::create_dir_all(self.at(name)).unwrap();
        let file = format!("{name}/id");
        let args = ["-q", "-t", kind, "-b", bits, "-N", passphrase, "-C", name, "-f", &file];
        assert!(self.run("ssh-keygen", &args, None, "").status.success());
    }

    fn sign(&self, args: &[&str], socket: Option<&Path>) -> Output {
        let args = [&["sign", "s.toml"], args].concat();
        self.run(env!("CARGO_BIN_EXE_drieslot"), &args, socket, "")
    }

    /// Must fail; gives what it said.
    fn refused(&self, args: &[&str], socket: Option<&Path>) -> String {
        let output = self.sign(args, socket);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{args:?} signed");
        assert!(said.contains("hint: ") || said.contains("signature is refused"), "{said}");
        assert!(self.signatures().is_empty(), "nothing is written where nothing was signed");
        said
    }

    fn signatures(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|extension| extension == "sig")).collect()
    }

    /// The one signature is accepted by stock ssh-keygen for this key, and for no other text; takes it away.
    fn check_signature(&self, public: &str) {
        let [path] = self.signatures().try_into().unwrap();
        std::fs::write(self.at("allowed"), format!("someone namespaces=\"{NAMESPACE}\" {public}\n")).unwrap();
        let verify = |text: &str| {
            let signature = path.display().to_string();
            let args = ["-Y", "verify", "-f", "allowed", "-I", "someone", "-n", NAMESPACE, "-s", &signature];
            self.run("ssh-keygen", &args, None, text)
        };
        let found = verify(STATEMENT);
        assert!(found.status.success(), "{public}: {}", String::from_utf8_lossy(&found.stderr));
        assert!(!verify(&STATEMENT.replace("stop", "start")).status.success());
        std::fs::remove_file(path).unwrap();
    }

    fn public(&self, name: &str) -> String {
        std::fs::read_to_string(self.at(name).join("id.pub")).unwrap().trim().to_owned()
    }
}

/// A stock ssh-agent; ended by its own id.
struct StockAgent {
    child: Child,
    socket: PathBuf,
}

impl StockAgent {
    fn start(world: &World) -> Self {
        let socket = world.at("agent.sock");
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while !socket.exists() {
            assert!(started.elapsed() < Duration::from_secs(10), "ssh-agent does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, socket }
    }

    fn add(&self, world: &World, name: &str) {
        let file = format!("{name}/id");
        assert!(world.run("ssh-add", &["-q", &file], Some(&self.socket), "").status.success());
    }
}

impl Drop for StockAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command with a terminal of its own; types each answer once its question is there. Gives all that was shown.
fn at_a_terminal(world: &World, command: &str, answers: &[(&str, &str)]) -> (bool, String) {
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", command, "/dev/null"])
        .current_dir(world.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut shown, mut byte) = (Vec::new(), [0]);
    while output.read(&mut byte).unwrap() == 1 {
        shown.push(byte[0]);
        if let Some((_, answer)) = answers.iter().find(|(question, _)| shown.ends_with(question.as_bytes())) {
            // Nobody types before the terminal has been told not to show it.
            std::thread::sleep(std::time::Duration::from_millis(300));
            input.write_all(format!("{answer}\n").as_bytes()).unwrap();
        }
    }
    (child.wait().unwrap().success(), String::from_utf8(shown).unwrap())
}

#[test]
fn key_files_sign_and_a_passphrase_is_asked_on_the_terminal_only() {
    let world = World::new();
    for kind in [KINDS[0], KINDS[1]] {
        world.make_key(kind.0, kind, "");
        assert!(world.sign(&["--key", &format!("{}/id", kind.0)], None).status.success());
        assert!(world.at(&format!("s.toml.{}.sig", kind.0)).is_file());
        world.check_signature(&world.public(kind.0));

        let name = format!("sealed-{}", kind.0);
        world.make_key(&name, kind, "correct horse");
        let key = format!("{name}/id");
        let command = format!("{} sign s.toml --key {key}", env!("CARGO_BIN_EXE_drieslot"));
        let question = format!("Passphrase of {key}: ");
        let (done, shown) = at_a_terminal(&world, &command, &[(&question, "wrong horse")]);
        assert!(!done && shown.contains("not the passphrase"), "{shown}");
        let (done, shown) = at_a_terminal(&world, &command, &[(&question, "correct horse")]);
        assert!(done && !shown.contains("horse"), "the passphrase does not show: {shown}");
        assert!(shown.find("stop-intake") < shown.find(&question), "the text is shown before it is signed");
        world.check_signature(&world.public(&name));
    }
    // Two keys in one folder: neither signature takes the place of the other.
    world.make_key("same", KINDS[0], "");
    std::fs::rename(world.at("same/id"), world.at("same/id_one")).unwrap();
    world.make_key("same", KINDS[0], "");
    assert!(world.sign(&["--key", "same/id"], None).status.success());
    let output = world.sign(&["--key", "same/id_one"], None);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("s.toml.same.sig is there already, and not by this key"),
        "{said}"
    );
    std::fs::rename(world.at("same/id_one"), world.at("same/kim")).unwrap();
    assert!(world.sign(&["--key", "same/kim"], None).status.success());
    assert!(world.sign(&["--key", "same/id"], None).status.success(), "one's own is made anew");
    std::fs::remove_file(world.at("s.toml.same-kim.sig")).unwrap();
    world.check_signature(&world.public("same"));
    let setsid = ["--wait", env!("CARGO_BIN_EXE_drieslot"), "sign", "s.toml", "--key", "sealed-ed25519/id"];
    let nobody = world.run("setsid", &setsid, None, "correct horse\n");
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert!(!nobody.status.success() && said.contains("there is no terminal"), "{said}");
    world.make_key("rsa", KINDS[2], "");
    assert!(world.refused(&["--key", "rsa/id"], None).contains("signs by way of ssh-agent"));
    assert!(world.refused(&["--key", "ed25519/id.pub"], None).contains("no private key"));
}

#[test]
fn keys_of_a_stock_agent_sign_by_fingerprint_comment_or_public_key_file() {
    let world = World::new();
    let agent = StockAgent::start(&world);
    let socket = Some(agent.socket.as_path());
    for kind in KINDS {
        world.make_key(kind.0, kind, "");
        agent.add(&world, kind.0);
        let file = format!("{}/id.pub", kind.0);
        let listed = world.run("ssh-keygen", &["-l", "-f", &file], None, "");
        let fingerprint = String::from_utf8(listed.stdout).unwrap().split_whitespace().nth(1).unwrap().to_owned();
        std::fs::remove_file(world.at(kind.0).join("id")).unwrap();
        for wanted in [fingerprint.as_str(), kind.0, &file] {
            // A folder of the same name stands beside it: a comment all the same.
            let output = world.sign(&["--agent", wanted], socket);
            assert!(output.status.success(), "{wanted}: {}", String::from_utf8_lossy(&output.stderr));
            world.check_signature(&world.public(kind.0));
        }
    }
}

#[test]
fn an_agent_that_cannot_sign_is_told_apart() {
    let world = World::new();
    assert!(world.refused(&["--agent", "x"], None).contains("SSH_AUTH_SOCK is not set"));
    assert!(world.refused(&["--agent", "x"], Some(&world.at("nobody.sock"))).contains("does not answer"));
    let agent = StockAgent::start(&world);
    let socket = Some(agent.socket.as_path());
    assert!(world.refused(&["--agent", "x"], socket).contains("holds no key, or is locked"));
    for name in ["one", "two"] {
        world.make_key(name, KINDS[0], "");
        agent.add(&world, name);
    }
    let said = world.refused(&["--agent", "three"], socket);
    assert!(said.contains("does not hold the key `three`") && said.contains("SHA256:"), "{said}");
    std::fs::write(world.at("other.pub"), world.public("one")).unwrap();
    assert!(world.run("ssh-add", &["-q", "-d", "one/id"], socket, "").status.success());
    assert!(world.refused(&["--agent", "other.pub"], socket).contains("does not hold"));
    // The same comment on two keys.
    world.make_key("again/two", KINDS[0], "");
    let renamed = ["-q", "-c", "-C", "two", "-f", "again/two/id"];
    assert!(world.run("ssh-keygen", &renamed, None, "").status.success());
    agent.add(&world, "again/two");
    assert!(world.refused(&["--agent", "two"], socket).contains("several keys"));

    let lock = |flag: &str| {
        let command = format!("SSH_AUTH_SOCK={} SSH_ASKPASS_REQUIRE=never ssh-add {flag}", agent.socket.display());
        let shown = at_a_terminal(&world, &command, &[("lock password: ", "secret"), ("Again: ", "secret")]);
        assert!(shown.0, "{}", shown.1);
    };
    lock("-x");
    assert!(world.refused(&["--agent", "two/id.pub"], socket).contains("locked"));
    lock("-X");
    assert!(world.sign(&["--agent", "two/id.pub"], socket).status.success());
}

#[test]
fn security_keys_sign_through_the_agent_and_only_when_touched() {
    let world = World::new();
    let authenticator = Authenticator::start(world.folder.path());
    let socket = Some(authenticator.socket.as_path());
    for public in authenticator.public_keys() {
        let comment = public.split(' ').nth(2).unwrap();
        for flags in [PRESENT, PRESENT | VERIFIED] {
            authenticator.sees(flags);
            let output = world.sign(&["--agent", comment], socket);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains("touch the security key"), "{said}");
            world.check_signature(&public);
        }
        // Stock ssh-keygen takes its signatures from the same agent.
        std::fs::write(world.at("sk.pub"), &public).unwrap();
        let args = ["-Y", "sign", "-f", "sk.pub", "-n", NAMESPACE, "s.toml"];
        assert!(world.run("ssh-keygen", &args, socket, "").status.success());
        world.check_signature(&public);
        for flags in [0, VERIFIED] {
            authenticator.sees(flags);
            assert!(world.refused(&["--agent", "sk.pub"], socket).contains("nobody touched"));
        }
    }
}
