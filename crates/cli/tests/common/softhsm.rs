//! SoftHSM2 with its tokens in a test's own folder: the program and `pkcs11-tool` find it by SOFTHSM2_CONF.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const PIN: &str = "29183746";
const MODULES: [&str; 2] = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];

/// One token, in a folder.
pub(crate) struct SoftHsm {
    pub(crate) folder: PathBuf,
    pub(crate) module: &'static str,
}

impl SoftHsm {
    /// Makes a token, or says that SoftHSM2 is not installed.
    pub(crate) fn create(folder: &Path, label: &str) -> Option<Self> {
        let installed = Path::new("/usr/bin/softhsm2-util").exists() && Path::new("/usr/bin/pkcs11-tool").exists();
        let module = MODULES.into_iter().find(|module| installed && Path::new(module).exists());
        let Some(module) = module else {
            assert!(std::env::var_os("DRIESLOT_CHECK").is_none(), "install softhsm2 and opensc");
            eprintln!("SKIPPED: softhsm2 or opensc is not installed, so no PKCS#11 token was tried");
            return None;
        };
        let tokens = folder.join("tokens");
        std::fs::create_dir_all(&tokens).unwrap();
        let conf = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
        std::fs::write(folder.join("softhsm2.conf"), conf).unwrap();
        let hsm = Self { folder: folder.to_owned(), module };
        hsm.pin("pin", PIN);
        let mut init = hsm.within(Command::new("softhsm2-util"));
        init.args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "0123456789"]);
        let made = init.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(hsm)
    }

    /// A PIN file; its path.
    pub(crate) fn pin(&self, name: &str, pin: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, format!("{pin}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A command that finds this folder's token.
    pub(crate) fn within(&self, mut command: Command) -> Command {
        command.env("SOFTHSM2_CONF", self.folder.join("softhsm2.conf"));
        command
    }

    /// OpenSC's tool, logged in.
    pub(crate) fn tool(&self, token: &str, arguments: &[&str]) -> Output {
        let mut tool = self.within(Command::new("pkcs11-tool"));
        tool.args(["--module", self.module, "--token-label", token, "--login", "--pin", PIN]);
        tool.args(arguments).output().unwrap()
    }
}
