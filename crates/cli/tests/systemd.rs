//! The shipped systemd units: systemd's own checks of their words and of how much they leave open.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const UNITS: [&str; 7] = [
    "drieslot-register@.service",
    "drieslot-custodian@.service",
    "drieslot-gateway@.service",
    "drieslot-witness@.service",
    "drieslot-mirror@.service",
    "drieslot-usage@.service",
    "drieslot-watch@.service",
];
/// Where the units expect the program.
const PROGRAM: &str = "/usr/local/bin/drieslot";
/// Tenths of systemd's exposure level: 10 is the most open, "SAFE" ends at 2.
const THRESHOLD: &str = "--threshold=15";

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The unit with the program where it was built, and what stands in a drop-in.
fn unit(folder: &Path, name: &str, text: &str, drop_in: Option<&str>) -> PathBuf {
    assert!(text.contains(PROGRAM), "{name}");
    let path = folder.join(name);
    std::fs::write(&path, text.replace(PROGRAM, env!("CARGO_BIN_EXE_drieslot"))).unwrap();
    if let Some(drop_in) = drop_in {
        let beside = folder.join(format!("{name}.d"));
        std::fs::create_dir(&beside).unwrap();
        std::fs::write(beside.join("more.conf"), drop_in).unwrap();
    }
    path
}

fn analyze(arguments: &[&str], path: &Path) -> Output {
    Command::new("systemd-analyze").args(arguments).arg(path).env("SYSTEMD_COLORS", "0").output().unwrap()
}

/// What systemd finds wrong with its words: it reports an unknown setting, and ends well.
fn faults(path: &Path) -> String {
    let said = analyze(&["verify", "--man=no"], path);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    match said.status.success() {
        true => text.lines().filter(|line| line.contains("drieslot")).collect::<Vec<_>>().join("\n"),
        false => format!("{}: {text}", said.status),
    }
}

fn tight(path: &Path) -> Result<(), String> {
    let said = analyze(&["security", "--no-pager", "--offline=yes", THRESHOLD], path);
    match said.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&said.stdout).into_owned()),
    }
}

fn there() -> bool {
    let there = Command::new("systemd-analyze").arg("--version").output().is_ok_and(|said| said.status.success());
    assert!(there || std::env::var_os("DRIESLOT_CHECK").is_none(), "systemd-analyze is not installed");
    if !there {
        eprintln!("SKIPPED: systemd-analyze is not installed (Debian: systemd)");
    }
    there
}

#[test]
fn the_units_are_well_formed_and_leave_little_open() {
    if !there() {
        return;
    }
    for name in UNITS {
        let folder = tempfile::tempdir().unwrap();
        let text = shipped(name);
        let path = unit(folder.path(), name, &text, None);
        assert_eq!(faults(&path), "", "{name}");
        tight(&path).unwrap_or_else(|said| panic!("{name}:\n{said}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let custodian = UNITS[1];
    let path = unit(folder.path(), custodian, &shipped(custodian), Some(&shipped("hsm.conf")));
    assert_eq!(faults(&path), "");
}

/// The checks themselves: a wrong word and an open door are found.
#[test]
fn a_spoiled_unit_is_found() {
    if !there() {
        return;
    }
    for (from, to) in [("ProtectSystem=", "ProtectSistem="), ("@system-service", "@sistem-service")] {
        let folder = tempfile::tempdir().unwrap();
        let path = unit(folder.path(), UNITS[0], &shipped(UNITS[0]).replace(from, to), None);
        assert_ne!(faults(&path), "", "{to}");
    }
    let folder = tempfile::tempdir().unwrap();
    let open: String =
        shipped(UNITS[0]).lines().filter(|line| !line.contains("Protect")).map(|l| format!("{l}\n")).collect();
    assert!(tight(&unit(folder.path(), UNITS[0], &open, None)).is_err());
}
