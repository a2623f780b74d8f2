//! Six free ports in a row on loopback, reserved among all tests of this machine by a lock file.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};

const PARTS: u16 = 6;
/// Below the ports that the kernel gives to clients.
const RANGE: std::ops::Range<u16> = 20_000..31_000;

/// Held for as long as the ports are used.
pub(crate) struct Ports {
    pub(crate) base: u16,
    _lock: File,
}

impl Ports {
    pub(crate) fn reserve() -> Self {
        let folder = std::env::temp_dir().join("drieslot-test-ports");
        std::fs::create_dir_all(&folder).unwrap();
        let slots = (RANGE.end - RANGE.start) / PARTS;
        let first = u16::try_from(std::process::id() % u32::from(slots)).unwrap();
        for step in 0..slots {
            let base = RANGE.start + (first + step) % slots * PARTS;
            let lock = File::options().create(true).append(true).open(folder.join(base.to_string())).unwrap();
            if lock.try_lock().is_err() {
                continue;
            }
            let listeners: Vec<_> =
                (base..base + PARTS).map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port))).collect();
            if listeners.iter().all(Result::is_ok) {
                return Self { base, _lock: lock };
            }
        }
        panic!("no {PARTS} free ports in a row in {RANGE:?}");
    }
}
