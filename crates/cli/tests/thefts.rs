//! What somebody has who takes a copy: of the processor's memory, of what goes over the network to it, of a backup of
//! the controller's parts. Each scan is shown to find what it looks for where that is to be found.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use common::check::Canary;
use common::{Trial, data};

/// Goes to the processor as it is.
fn bait() -> [Canary; 1] {
    [Canary::Text("CANARY-plain-4c1e".into())]
}

/// Uses every canary: written, looked for by its value, read.
fn look(trial: &Trial) {
    trial.plant();
    trial.app_ok("INSERT INTO street VALUES (901, 'CANARY-plain-4c1e', 1)");
    trial.app_ok("SELECT * FROM person WHERE national_number = 8123456789012345671");
    trial.app_ok("SELECT * FROM person; SELECT * FROM permit");
    trial.app_ok("COPY person TO STDOUT; COPY permit TO STDOUT");
}

#[test]
fn the_processor_s_memory_holds_no_value() {
    let trial = Trial::usual();
    look(&trial);
    let Some(findings) = trial.scan_memory("processor", &data::canaries()) else {
        eprintln!("SKIPPED: no process may read another's memory here; the processor's memory was NOT scanned");
        return;
    };
    assert!(findings.is_empty(), "planted values were found: {findings:#?}");
    let found = |part: &str, what: &[Canary]| !trial.scan_memory(part, what).unwrap().is_empty();
    assert!(found("processor", &bait()), "the scan does not find what is there");
    assert!(found("gateway", &data::canaries()), "the scan does not find what the gateway has just seen");
    for custodian in ["custodian-structure", "custodian-access", "custodian-keys", "register"] {
        assert!(!found(custodian, &data::canaries()), "{custodian} has seen a value");
    }
}

/// Passes bytes on between the gateway and the processor, and keeps a copy.
struct Tap {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    fn on(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&heard);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                let ends = [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))];
                for (from, to) in ends {
                    let (mut from, mut to, copy) = (from.unwrap(), to.unwrap(), Arc::clone(&copy));
                    std::thread::spawn(move || {
                        let mut chunk = vec![0; 1 << 16];
                        while let Ok(length @ 1..) = from.read(&mut chunk) {
                            copy.lock().unwrap().extend_from_slice(&chunk[..length]);
                            if to.write_all(&chunk[..length]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { port, heard }
    }
}

#[test]
fn what_goes_to_the_processor_holds_no_value_even_without_tls() {
    let mut trial = Trial::usual();
    let processor = trial.port + 1;
    trial.stop();
    let access = trial.processor().join("data/pg_hba.conf");
    let without_tls = "hostnossl all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(&access, std::fs::read_to_string(&access).unwrap() + without_tls).unwrap();
    for (tls, readable) in [("verify-full", false), ("disable", true)] {
        let tap = Tap::on(processor);
        trial.reconfigure(|text| {
            let hosts = text.lines().find(|line| line.starts_with("hosts = ")).unwrap();
            let before = text.lines().find(|line| line.starts_with("tls = ")).unwrap();
            let host = hosts.split('"').nth(1).unwrap().rsplit_once(':').unwrap().0;
            let ours = format!("hosts = [\"{host}:{}\"]", tap.port);
            text.replace(hosts, &ours).replace(before, &format!("tls = \"{tls}\""))
        });
        for part in ["processor", "register", "custodian-structure", "custodian-access", "custodian-keys", "gateway"] {
            trial.start_part(part);
        }
        // It listens before its recovery is over.
        let started = std::time::Instant::now();
        while trial.app("SELECT 1").err.contains("57P03") && started.elapsed().as_secs() < 30 {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        if readable {
            look(&trial);
        } else {
            trial.app_ok("INSERT INTO street VALUES (900, 'CANARY-plain-4c1e', 1)");
        }
        let heard = tap.heard.lock().unwrap();
        let found = |canaries: &[Canary]| Trial::scan_bytes("the network", &heard, canaries);
        assert!(heard.len() > 1000, "only {} bytes passed", heard.len());
        assert_eq!(!found(&bait()).is_empty(), readable, "tls = {tls}: what is plain is readable without TLS only");
        let findings = found(&data::canaries());
        assert!(findings.is_empty(), "tls = {tls}: {findings:#?}");
        drop(heard);
        trial.kill_all();
    }
}
