//! Who looks at a journal: each as a program, over the folder or over what is served of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use drieslot_journal::{Journal, Published};
use drieslot_link::LoopbackAddress;
use drieslot_mirror::ServeConfig;
use drieslot_witness::Submission;

use crate::common::psql::run;
use crate::common::python::python;
use crate::common::witnesses::{post, within};
use crate::tessera::Tessera;
use crate::world::{SIZE, WITNESSES, World, copy, drieslot};

/// Longer than this test takes.
const WITHIN_S: &str = "3600";

pub(crate) struct Finders<'a> {
    world: &'a World,
    port: u16,
    vkey: String,
    tessera: Option<Tessera>,
}

impl<'a> Finders<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        let port = world.ports.base + 3;
        let folder = world.tampered();
        thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let address = LoopbackAddress::try_from(std::net::SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
            runtime.block_on(drieslot_mirror::serve(Some(ServeConfig::local(address)), &folder, None)).map(drop)
        });
        within(10, "nothing is served", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        let vkey = fs::read_to_string(world.path("vkey")).unwrap();
        let full = std::env::var_os("DRIESLOT_FULL").is_some();
        if !full {
            eprintln!("SKIPPED: Tessera's fsck: ./check --full has it look too");
        }
        let finders = Self { world, port, vkey, tessera: full.then(Tessera::build) };
        finders.follow();
        finders
    }

    /// Whether this finder takes part.
    pub(crate) fn looks(&self, name: &str) -> bool {
        match name {
            "fsck" => self.tessera.is_some(),
            "verify_journal.py" => python().is_some(),
            "verify" | "verify --since" | "verify --cosigned-within" | "start" | "witness" | "mirror" => true,
            other => panic!("nobody is called {other}"),
        }
    }

    /// The mirror, and whoever verified before, have seen the journal as it was.
    fn follow(&self) {
        let config = format!(
            "folder = \"followed\"\n[[journal]]\nname = \"gateway\"\nkey = \"{}\"\nlocal = \"127.0.0.1:{}\"\n",
            self.vkey, self.port
        );
        fs::write(self.world.path("followed.toml"), &config).unwrap();
        fs::write(self.world.path("mirror.toml"), config.replace("followed", "mirrors")).unwrap();
        for state in ["earlier", "now"] {
            copy(&self.world.path(state), &self.world.tampered());
            let (followed, said) = self.drieslot_here("followed.toml");
            assert!(followed, "{said}");
        }
        fs::copy(self.world.path("now/checkpoint"), self.world.path("seen")).unwrap();
        fs::remove_dir_all(self.world.tampered()).unwrap();
    }

    fn drieslot_here(&self, config: &str) -> (bool, String) {
        drieslot(&["mirror", "run", "--once", "--config", &self.world.path(config).display().to_string()])
    }

    /// All who find something now. Whoever changes the folder by looking comes last.
    pub(crate) fn all(&self) -> BTreeSet<&'static str> {
        let dir = self.world.tampered();
        let mut found = BTreeSet::new();
        let mut note = |name: &'static str, finds: bool| finds.then(|| found.insert(name)).is_some();
        if !note("verify", !self.verify(&[])) {
            // These ask more.
            let since = self.world.path("since");
            fs::copy(self.world.path("seen"), &since).unwrap();
            note("verify --since", !self.verify(&["--since", &since.display().to_string()]));
            note("verify --cosigned-within", !self.verify(&["--cosigned-within", WITHIN_S]));
        }
        copy(&self.world.path("followed"), &self.world.path("mirrors"));
        note("mirror", !self.drieslot_here("mirror.toml").0);
        if let Some(python) = python() {
            note("verify_journal.py", !self.verify_in_python(&python));
        }
        if let Some(tessera) = &self.tessera {
            note("fsck", tessera.fsck(&format!("http://127.0.0.1:{}", self.port), &self.vkey).is_err());
        }
        note("witness", self.witness_refuses(&dir));
        note("start", !self.starts(&dir));
        found
    }

    fn quorum(&self) -> Vec<String> {
        let keys = WITNESSES.iter().flat_map(|name| ["--witness".to_owned(), self.world.witness_vkey(name)]);
        keys.chain(["--quorum".to_owned(), "2".to_owned()]).collect()
    }

    fn verify(&self, more: &[&str]) -> bool {
        let (dir, key) = (self.world.tampered().display().to_string(), self.world.path("vkey").display().to_string());
        let quorum = self.quorum();
        let quorum: Vec<&str> = quorum.iter().map(String::as_str).collect();
        drieslot(&[&["journal", "verify", &dir, "--key", &key], &quorum[..], more].concat()).0
    }

    /// With all that it can be asked, over what is served.
    fn verify_in_python(&self, python: &Path) -> bool {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/verify_journal.py");
        let mut command = Command::new(python);
        command.arg(tool).arg(format!("http://127.0.0.1:{}", self.port)).arg(&self.vkey).args(self.quorum());
        command.arg("--since").arg(self.world.path("seen")).args(["--cosigned-within", WITHIN_S]);
        run(&mut command, "").ok
    }

    /// Shows a witness the checkpoint that is there, from what it knows, with such a proof as there is.
    fn witness_refuses(&self, dir: &Path) -> bool {
        let Ok(note) = fs::read_to_string(dir.join("checkpoint")) else { return false };
        let size: u64 = note.lines().nth(1).unwrap().parse().unwrap();
        let show = |old: u64| {
            let published = Published::open(dir, &self.world.verifier());
            let proof = published.and_then(|published| published.consistency_proof(old)).unwrap_or_default();
            post(self.world.ports.base, &Submission { old, proof, note: &note }.body()).unwrap()
        };
        match show(SIZE.min(size)) {
            // It says what it knows.
            (409, known) => known.trim().parse().is_ok_and(|known| known > size || show(known).0 != 200),
            (status, _) => status != 200,
        }
    }

    /// What a part does when it starts; where its journal is new it says so.
    fn starts(&self, dir: &Path) -> bool {
        let verifier = self.world.verifier();
        let Ok((journal, recovered)) = Journal::open(dir, self.world.config()) else { return false };
        let cosigned = Published::open(dir, &verifier).and_then(|published| published.cosigned(&verifier));
        journal.close().unwrap();
        cosigned.is_ok() && !recovered.created
    }
}
