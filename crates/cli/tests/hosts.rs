//! Several servers of the processor, a primary and a real standby of it: which one the gateway takes, and which of two
//! gateways a client's own libpq takes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::ports::Ports;
use common::psql::run;
use common::{DATABASE, Trial, postgres_bin};

/// A gateway's configuration with other hosts, and what is wanted of them.
fn hosts(config: &str, hosts: &[u16], wanted: &str) -> String {
    let hosts: Vec<_> = hosts.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    let line = format!("hosts = [{}]\ntarget_session_attrs = \"{wanted}\"", hosts.join(", "));
    let kept = config.lines().filter(|line| !line.starts_with("target_session_attrs"));
    kept.map(|old| if old.starts_with("hosts") { line.clone() } else { old.to_owned() }).collect::<Vec<_>>().join("\n")
        + "\n"
}

/// A standby of the trial's processor, which follows it.
fn start_standby(trial: &mut Trial, port: u16) {
    let hba = trial.processor().join("data/pg_hba.conf");
    let rules = std::fs::read_to_string(&hba).unwrap() + "local replication postgres scram-sha-256\n";
    std::fs::write(&hba, rules).unwrap();
    trial.superuser("postgres", "SELECT pg_reload_conf()");
    let data = trial.folder.path().join("standby");
    let mut copy = trial.as_user(postgres_bin().join("pg_basebackup"));
    trial.superuser_environment(&mut copy);
    let said = run(copy.args(["--write-recovery-conf", "--checkpoint=fast", "--pgdata"]).arg(&data), "");
    assert!(said.ok, "{said:?}");
    start_again(trial, port);
}

fn start_again(trial: &mut Trial, port: u16) {
    let mut command = trial.as_user(postgres_bin().join("postgres"));
    command.arg("-D").arg(trial.folder.path().join("standby")).args(["-p", &port.to_string()]);
    command.args(["-c", &format!("unix_socket_directories={}", trial.folder.path().display())]);
    trial.start_apart("standby", command, port);
    // It answers before it serves.
    let started = Instant::now();
    while !run(trial.superuser_psql("postgres").env("PGHOST", trial.folder.path()).env("PGPORT", port.to_string()), "")
        .ok
    {
        assert!(started.elapsed() < Duration::from_secs(30), "the standby does not serve");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether the application is on the standby, and a protected value there.
fn on_standby(trial: &Trial) -> String {
    trial.app_ok("SELECT pg_is_in_recovery(), body FROM note WHERE note_id = 1")
}

#[test]
fn the_gateway_takes_the_host_that_is_wanted() {
    let mut trial = Trial::small();
    let ports = Ports::reserve();
    let (primary, standby) = (trial.port + 1, ports.base);
    trial.take_apart(|config| hosts(config, &[primary], "any"));
    start_standby(&mut trial, standby);
    for (order, wanted, found) in [
        ([standby, primary], "any", "t|first"),
        ([standby, primary], "read-write", "f|first"),
        ([standby, primary], "primary", "f|first"),
        ([primary, standby], "read-only", "t|first"),
        ([primary, standby], "standby", "t|first"),
        ([primary, standby], "prefer-standby", "t|first"),
    ] {
        trial.restart_gateway(|config| hosts(config, &order, wanted));
        assert_eq!(on_standby(&trial), found, "{wanted} of {order:?}");
    }
    assert_eq!(trial.app_fails("UPDATE note SET body = 'x'").0, "25006");
    trial.stop_part("standby");
    assert_eq!(on_standby(&trial), "f|first", "prefer-standby without a standby");
    trial.restart_gateway(|config| hosts(config, &[standby, primary], "standby"));
    let said = trial.app("SELECT 1").err;
    for why in
        ["cannot be used", "server is not in hot standby mode", "refused", &standby.to_string(), &primary.to_string()]
    {
        assert!(said.contains(why), "no {why} in {said}");
    }
    trial.superuser("postgres", &format!("ALTER DATABASE {DATABASE} SET default_transaction_read_only = on"));
    trial.restart_gateway(|config| hosts(config, &[primary], "read-write"));
    assert!(trial.app("SELECT 1").err.contains("session is read-only"));
    trial.restart_gateway(|config| hosts(config, &[primary], "read-only"));
    assert_eq!(on_standby(&trial), "f|first");
    trial.superuser("postgres", &format!("ALTER DATABASE {DATABASE} RESET default_transaction_read_only"));
    start_again(&mut trial, standby);
    a_client_takes_the_gateway_that_it_wants(&mut trial, [primary, standby], ports.base + 1);
}

/// libpq's own search over two gateways: what the processors report of themselves comes through.
fn a_client_takes_the_gateway_that_it_wants(trial: &mut Trial, [primary, standby]: [u16; 2], second: u16) {
    trial.restart_gateway(|config| hosts(config, &[primary], "any"));
    let config = std::fs::read_to_string(trial.data().join("gateway/config.toml")).unwrap();
    let (listen, other) = (format!("127.0.0.1:{}", trial.port), format!("127.0.0.1:{second}"));
    let journal = format!("folder = \"{}", trial.journal("gateway").display());
    let config =
        hosts(&config, &[standby], "any").replacen(&listen, &other, 1).replace(&journal, &format!("{journal}-2"));
    let path = trial.write("second.toml", &config);
    let mut command = trial.as_user(trial.program());
    command.args(["gateway", "run", "--config"]).arg(path);
    trial.start_apart("second", command, second);
    for (wanted, found) in [
        ("any", "t"),
        ("read-write", "f"),
        ("read-only", "t"),
        ("primary", "f"),
        ("standby", "t"),
        ("prefer-standby", "t"),
    ] {
        let mut command = trial.app_psql(DATABASE);
        command.env("PGHOST", "127.0.0.1,127.0.0.1").env("PGPORT", format!("{second},{}", trial.port));
        command.env("PGTARGETSESSIONATTRS", wanted).args(["-At", "-c", "SELECT pg_is_in_recovery() FROM note"]);
        let said = run(&mut command, "");
        assert_eq!((said.out.trim(), said.ok), (found, true), "{wanted}: {}", said.err);
    }
}
