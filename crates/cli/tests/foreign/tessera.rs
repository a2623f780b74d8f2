//! Tessera's verifiers, built from the few lines of Go in `verifier/`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::common::psql::run;

/// The folder of what is fetched and built.
pub(crate) fn target() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/foreign");
    std::fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

pub(crate) struct Tessera(PathBuf);

impl Tessera {
    /// Versions are pinned by its `go.mod` and `go.sum`.
    pub(crate) fn build() -> Self {
        let program = target().join("verifier");
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/verifier");
        let mut build = Command::new("go");
        let built = run(build.args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".").current_dir(sources), "");
        assert!(built.ok, "Tessera's verifiers cannot be built: {}{}", built.out, built.err);
        Self(program)
    }

    fn ask(&self, arguments: &[&str]) -> Result<(), String> {
        let said = run(Command::new(&self.0).args(arguments), "");
        // Whole tiles stand in what it says.
        if said.ok { Ok(()) } else { Err(said.err.chars().take(300).collect()) }
    }

    /// Every entry, every tile, the root and the signature.
    pub(crate) fn fsck(&self, address: &str, vkey: &str) -> Result<(), String> {
        self.ask(&["fsck", address, vkey])
    }

    #[allow(dead_code, reason = "only the live gateway's test asks")]
    /// Whether so many of the witnesses cosigned a note.
    pub(crate) fn policy(&self, note: &Path, vkey: &str, witnesses: &[&str], quorum: usize) -> Result<(), String> {
        let mut policy = String::new();
        for (at, witness) in witnesses.iter().enumerate() {
            writeln!(policy, "witness w{at} {witness} http://127.0.0.1:1").unwrap();
        }
        let names: Vec<_> = (0..witnesses.len()).map(|at| format!("w{at}")).collect();
        writeln!(policy, "group all-of-them {quorum} {}\nquorum all-of-them", names.join(" ")).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), policy).unwrap();
        self.ask(&["policy", &note.display().to_string(), vkey, &file.path().display().to_string()])
    }
}
