//! What officers do in a trial: sign statements and hand them in, with the program's own commands.

use super::Trial;

impl Trial {
    pub(crate) fn register_toml(&self) -> String {
        self.data().join("officers/register.toml").display().to_string()
    }

    /// What `drieslot access app` prints.
    pub(crate) fn access(&self) -> String {
        self.drieslot_ok(["access", "app", "--register", &self.register_toml()])
    }

    /// Signs a statement by these duties' officers and hands it in; gives what the register answered.
    pub(crate) fn sign_and_submit(&self, name: &str, statement: &str, duties: &[&str]) -> String {
        let path = self.write(name, statement);
        for duty in duties {
            let key = self.officer_key(duty).display().to_string();
            self.drieslot_ok(["sign", &path.display().to_string(), "--key", &key]);
        }
        self.drieslot_ok(["submit", &path.display().to_string(), "--register", &self.register_toml()])
    }

    /// Writes a revocation and lets one officer sign it: it only needs to be handed in.
    pub(crate) fn prepare_revocation(&self, mandate: &str) -> String {
        let path = self.folder.path().join("revocation.toml").display().to_string();
        self.drieslot_ok([
            "revoke",
            mandate,
            "--why",
            "the contract ended",
            "--out",
            &path,
            "--register",
            &self.register_toml(),
        ]);
        let key = self.officer_key("access").display().to_string();
        self.drieslot_ok(["sign", &path, "--key", &key]);
        path
    }

    /// Hands a signed statement in.
    pub(crate) fn submit(&self, path: &str) {
        let said = self.drieslot_ok(["submit", path, "--register", &self.register_toml()]);
        assert!(said.contains("in force"), "{said}");
    }
}
