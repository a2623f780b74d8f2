//! Clients in Python.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::psql::run;
use super::{DATABASE, Trial};

/// The interpreter with the packages that `./check` installs; `None`, said loudly, where it has not.
pub(crate) fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin/python");
    if !python.is_file() {
        eprintln!("SKIPPED: {} is not there; ./check makes it", python.display());
        return None;
    }
    Some(python)
}

impl Trial {
    /// How libpq reaches the gateway as the application.
    pub(crate) fn dsn(&self) -> String {
        let password = std::fs::read_to_string(self.data().join("application/password")).unwrap();
        format!(
            "host=127.0.0.1 port={} user=app dbname={DATABASE} sslmode=verify-full sslrootcert={} password={}",
            self.port,
            self.data().join("gateway/root.crt").display(),
            password.trim()
        )
    }

    /// Runs a script of `clients/` through the gateway; it must say that all is well.
    pub(crate) fn python_script(&self, python: &Path, name: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name);
        let said = run(Command::new(python).arg(script).env("DRIESLOT_DSN", self.dsn()), "");
        assert!(said.ok && said.out.trim() == "ok", "{}{}", said.out, said.err);
    }
}
