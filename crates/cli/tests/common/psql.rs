//! `psql` as a child process: as the application through the gateway, and as the processor's superuser.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{DATABASE, Trial, text};

/// What a run of psql printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) ok: bool,
}

impl Said {
    /// The first SQLSTATE in its errors. Runs with VERBOSITY=verbose or sqlstate.
    pub(crate) fn sqlstate(&self) -> Option<&str> {
        let line =
            self.err.lines().find_map(|line| line.split_once("ERROR:  ").or_else(|| line.split_once("FATAL:  ")))?;
        let code = line.1.split(':').next()?.trim();
        (code.len() == 5).then_some(code)
    }
}

impl Trial {
    /// psql as the application `app`, through the gateway.
    pub(crate) fn app_psql(&self, database: &str) -> Command {
        let password = std::fs::read_to_string(self.data().join("application/password")).unwrap();
        let mut command = psql(database);
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string()).env("PGUSER", "app");
        command.env("PGPASSWORD", password.trim()).env("PGSSLMODE", "verify-full");
        command.env("PGSSLROOTCERT", self.data().join("gateway/root.crt"));
        command
    }

    /// psql as the processor's superuser, over its socket.
    pub(crate) fn superuser_psql(&self, database: &str) -> Command {
        let mut command = psql(database);
        self.superuser_environment(&mut command);
        command
    }

    pub(crate) fn superuser_environment(&self, command: &mut Command) {
        let password = std::fs::read_to_string(self.processor().join("superuser.password")).unwrap();
        command.env("PGHOST", self.processor()).env("PGPORT", (self.port + 1).to_string());
        command.env("PGUSER", "postgres").env("PGPASSWORD", password.trim());
    }

    /// One message of the simple protocol, however many statements it holds.
    pub(crate) fn app(&self, sql: &str) -> Said {
        run(self.app_psql(DATABASE).args(["-c", sql]), "")
    }

    /// A script: each statement by itself, psql's own commands too.
    pub(crate) fn app_script(&self, script: &str) -> Said {
        run(&mut self.app_psql(DATABASE), script)
    }

    /// A statement of the application that must succeed; rows without decoration, fields separated by `|`.
    pub(crate) fn app_ok(&self, sql: &str) -> String {
        let said = run(self.app_psql(DATABASE).args(["-At", "-c", sql]), "");
        assert!(said.ok, "{sql}\n{}", said.err);
        said.out.trim_end().to_owned()
    }

    /// A statement of the application that must fail; its SQLSTATE and text.
    pub(crate) fn app_fails(&self, sql: &str) -> (String, String) {
        let said = self.app(sql);
        let code = said.sqlstate().unwrap_or_else(|| panic!("not an error: {sql}\n{said:?}")).to_owned();
        (code, said.out + &said.err)
    }

    /// What the processor's superuser does in a database; must succeed.
    pub(crate) fn superuser(&self, database: &str, sql: &str) -> String {
        let said = run(self.superuser_psql(database).args(["-At", "-v", "ON_ERROR_STOP=1"]), sql);
        assert!(said.ok, "{sql}\n{}", said.err);
        said.out.trim_end().to_owned()
    }

    /// The server writes everything that it can about statements and parameters into its log.
    pub(crate) fn make_talkative(&self) {
        let settings = "ALTER SYSTEM SET log_statement = 'all';
            ALTER SYSTEM SET log_min_duration_statement = 0;
            ALTER SYSTEM SET log_parameter_max_length = -1;
            ALTER SYSTEM SET log_parameter_max_length_on_error = -1;
            ALTER SYSTEM SET log_min_error_statement = 'debug5';
            ALTER SYSTEM SET log_error_verbosity = 'verbose';
            ALTER SYSTEM SET debug_print_parse = on;
            ALTER SYSTEM SET track_activity_query_size = 65536;
            SELECT pg_reload_conf();";
        self.superuser("postgres", settings);
        let wanted = "all|-1|on";
        for _ in 0..100 {
            let settings = "SELECT current_setting('log_statement'), current_setting('log_parameter_max_length'), \
                            current_setting('debug_print_parse')";
            let shown = self.superuser("postgres", settings);
            if shown == wanted {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("the processor did not become talkative");
    }
}

fn psql(database: &str) -> Command {
    let mut command = Command::new("psql");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command.args(["-X", "-q", "-v", "VERBOSITY=verbose"]).env("PGDATABASE", database);
    command.env("LC_ALL", "C.UTF-8").env("PGTZ", "Europe/Brussels").env("PGCONNECT_TIMEOUT", "20");
    command
}

/// Runs a command with `input` on its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Said {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A child that does not read its input is no error of the test.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Said { out: text(&output.stdout), err: text(&output.stderr), ok: output.status.success() }
}
