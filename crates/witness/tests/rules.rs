//! The witness over its own port, by the rules of tlog-witness: each answer, and what it remembers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drieslot_journal::hash::{self, Hash};
use drieslot_journal::{Checkpoint, Cosigner, IdentityKey, Note, proof};
use drieslot_witness::{Answer, Submission, Witness, WitnessConfig, WitnessError};
use tempfile::TempDir;

const ORIGIN: &str = "gateway.example.org/journal";
const NAME: &str = "witness.example.org/w1";

/// A witness's folder, a log that it knows, and the log's two histories, which part after 100 entries.
struct World {
    folder: TempDir,
    log: IdentityKey,
    own: Cosigner,
    histories: [Vec<Hash>; 2],
    clock: Arc<AtomicU64>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log, key) = (IdentityKey::generate().unwrap(), IdentityKey::generate().unwrap());
        key.save(&folder.path().join("witness.key")).unwrap();
        let leaf =
            |branch: u64, index: u64| hash::leaf(format!("{} {index}", branch * u64::from(index >= 100)).as_bytes());
        let histories = [0, 1].map(|branch| (0..2_000).map(|index| leaf(branch, index)).collect());
        let own = key.cosigner(NAME).unwrap();
        let world = Self { folder, log, own, histories, clock: Arc::new(AtomicU64::new(1_800_000_000)) };
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let keys = [world.log.vkey(ORIGIN).unwrap()];
        let text = format!(
            "listen = \"{listen}\"\nname = \"{NAME}\"\nkey = \"witness.key\"\nstate = \"state\"\n\
             requests_per_second = 1000\n[[log]]\nkeys = {keys:?}\n"
        );
        std::fs::write(world.path("witness.toml"), text).unwrap();
        world
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> WitnessConfig {
        WitnessConfig::load(&self.path("witness.toml")).unwrap()
    }

    fn open(&self) -> Result<Arc<Witness>, WitnessError> {
        let clock = Arc::clone(&self.clock);
        Witness::open(&self.config(), Arc::new(move || clock.load(Ordering::SeqCst)))
    }

    fn note(&self, branch: usize, size: usize) -> String {
        let root = hash::root(&self.histories[branch][..size]);
        Checkpoint { origin: ORIGIN.into(), size: size as u64, root }.sign(&self.log).unwrap()
    }

    fn body(&self, branch: usize, old: u64, size: usize) -> String {
        let proof = proof::consistency(&self.histories[branch][..size], old, size as u64).unwrap_or_default();
        Submission { old, proof, note: &self.note(branch, size) }.body()
    }

    /// The answer to a submission of a branch, whose cosignature must verify.
    fn add(&self, witness: &Witness, branch: usize, old: u64, size: usize) -> u16 {
        let answer = witness.add_checkpoint(self.body(branch, old, size).as_bytes());
        if let Answer::Cosigned(line) = &answer {
            let note = self.note(branch, size) + line;
            let time = self.clock.load(Ordering::SeqCst);
            assert_eq!(Note::parse(&note).unwrap().cosigned_by(&self.own).unwrap(), Some(time));
        }
        answer.status()
    }
}

#[test]
fn each_submission_has_its_answer() {
    let world = World::new();
    let witness = world.open().unwrap();
    for (branch, old, size, status) in [
        (0, 1, 50, 409),
        (0, 0, 0, 200),
        (0, 0, 50, 200),
        (0, 0, 50, 409),
        (0, 50, 50, 200),
        (0, 50, 40, 400),
        (0, 40, 60, 409),
        (0, 50, 100, 200),
        (1, 100, 100, 200),
        (0, 100, 1_000, 200),
        (1, 1_000, 1_000, 409),
        (1, 1_000, 1_001, 422),
        (1, 100, 1_001, 409),
        (0, 1_000, 1_001, 200),
        (0, 1_001, 2_000, 200),
    ] {
        assert_eq!(world.add(&witness, branch, old, size), status, "branch {branch}, {old} to {size}");
    }
    assert_eq!(witness.add_checkpoint(world.body(0, 7, 2_000).as_bytes()), Answer::Conflict(2_000));
    let conflict = std::fs::read_dir(world.path("state")).unwrap().flatten();
    let kept: Vec<_> = conflict.filter(|file| file.path().extension().is_some_and(|it| it == "conflict")).collect();
    assert_eq!(std::fs::read_to_string(kept[0].path()).unwrap(), world.note(1, 1_000), "the evidence of two histories");
}

#[test]
fn what_is_malformed_or_unknown_is_refused() {
    let world = World::new();
    let witness = world.open().unwrap();
    assert_eq!(world.add(&witness, 0, 0, 10), 200);
    let good = world.body(0, 10, 20);
    let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
    let begin = |text: &str| good.replacen("old 10\n", text, 1);
    for (bad, status) in [
        (String::new(), 400),
        ("old 10\n".into(), 400),
        (begin("old 010\n"), 400),
        (begin("old +10\n"), 400),
        (begin("old  10\n"), 400),
        (begin("new 10\n"), 400),
        (begin("old 18446744073709551616\n"), 400),
        (begin(&format!("old 10\n{}", hash.repeat(63))), 400),
        (begin("old 10\nAAAA\n"), 400),
        (begin("old 10\n\n"), 404),
        (good.trim_end().to_owned(), 400),
        (good.replacen(ORIGIN, "another.example.org/journal", 1), 404),
        (good.replacen("\n20\n", "\n21\n", 1), 403),
        (world.body(0, 10, 20).replacen("old 10\n", &format!("old 10\n{hash}"), 1), 422),
    ] {
        assert_eq!(witness.add_checkpoint(bad.as_bytes()).status(), status, "{bad:.200}");
    }
    assert_eq!(witness.add_checkpoint(b"old 10\n\n\xff").status(), 400);
    // Signed by somebody else under the log's name, and by nobody.
    let stranger = IdentityKey::generate().unwrap();
    let root = hash::root(&world.histories[0][..20]);
    let note = Checkpoint { origin: ORIGIN.into(), size: 20, root }.sign(&stranger).unwrap();
    let proof = proof::consistency(&world.histories[0][..20], 10, 20).unwrap();
    let body = Submission { old: 10, proof, note: &note }.body();
    assert_eq!(witness.add_checkpoint(body.as_bytes()).status(), 403);
    assert_eq!(witness.add_checkpoint(good.as_bytes()).status(), 200);
}

/// The first tree head of a Sigsum log's test, as the stock witness's own tests submit it.
#[test]
fn a_stock_logs_submission_is_cosigned() {
    let world = World::new();
    let origin = "sigsum.org/v1/tree/985ea163f5af026723561354f51f2ebcdcf2af809ce254ccfb64aa9aadd80f90";
    let key = "52c05edad1bf5feffa81354faae59a655d9a9a1a793ed2f62c39c26c0be2aecd";
    let key: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap()).collect();
    let verifier = drieslot_journal::Verifier::new(origin, key.try_into().unwrap()).unwrap();
    let config = std::fs::read_to_string(world.path("witness.toml")).unwrap();
    std::fs::write(world.path("witness.toml"), format!("{config}[[log]]\nkeys = [\"{}\"]\n", verifier.vkey())).unwrap();
    let body = format!(
        "old 0\n\n{origin}\n1\nKgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} {origin} \
         7BKT0gOfNZ1J0So9unY3BZtm2YkPIoNYM/dce0Z2avJDs8dxN6ts9bOSwwrVrbjm6P9K3ZxpK6jJngOG6YvGGzV/lwo=\n"
    );
    assert_eq!(world.open().unwrap().add_checkpoint(body.as_bytes()).status(), 200);
}

#[test]
fn what_was_cosigned_is_remembered_and_not_forgotten() {
    let world = World::new();
    let witness = world.open().unwrap();
    assert!(matches!(world.open(), Err(WitnessError::Locked(_))), "one process has the state");
    assert_eq!(world.add(&witness, 0, 0, 300), 200);
    drop(witness);
    let (state, old) = (world.path("state"), world.path("old"));
    copy(&state, &old);
    world.clock.fetch_add(60, Ordering::SeqCst);
    let witness = world.open().unwrap();
    assert_eq!((world.add(&witness, 1, 300, 400), world.add(&witness, 0, 300, 400)), (422, 200));
    // A clock that goes back would make the newest cosignature an older one.
    world.clock.fetch_sub(30, Ordering::SeqCst);
    assert_eq!(world.add(&witness, 0, 400, 401), 503);
    drop(witness);
    assert!(matches!(world.open(), Err(WitnessError::Clock { .. })));
    world.clock.fetch_add(40, Ordering::SeqCst);
    // Put back to an older state, emptied, or changed.
    let kept = world.path("kept");
    std::fs::rename(&state, &kept).unwrap();
    assert!(matches!(world.open(), Err(WitnessError::Forgotten { .. })), "the state is gone");
    std::fs::remove_dir_all(&state).unwrap();
    copy(&old, &state);
    let error = world.open().unwrap_err();
    assert!(matches!(error, WitnessError::Forgotten { .. }) && error.to_string().contains("backup"), "{error}");
    std::fs::remove_dir_all(&state).unwrap();
    copy(&kept, &state);
    let file =
        std::fs::read_dir(&state).unwrap().flatten().find(|file| file.path().extension().is_some()).unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("\n400\n", "\n300\n", 1)).unwrap();
    assert!(matches!(world.open(), Err(WitnessError::Forgotten { .. })), "a file that was changed");
    std::fs::write(&file, text).unwrap();
    assert_eq!(world.add(&world.open().unwrap(), 0, 400, 500), 200);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Two submissions at once: the second finds what the first left.
#[test]
fn check_and_write_are_one() {
    let world = World::new();
    let witness = world.open().unwrap();
    assert_eq!(world.add(&witness, 0, 0, 100), 200);
    for round in 0..20_usize {
        let old = 100 + round as u64;
        let sizes = [101 + round, 130 + round, 150];
        let bodies = sizes.map(|size| world.body(0, old, size));
        let both = std::thread::scope(|scope| {
            let handles: Vec<_> = bodies
                .iter()
                .map(|body| {
                    let witness = Arc::clone(&witness);
                    scope.spawn(move || witness.add_checkpoint(body.as_bytes()))
                })
                .collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
        });
        let taken: Vec<_> = both.iter().filter(|answer| answer.status() == 200).collect();
        assert_eq!(taken.len(), 1, "{both:?}");
        let size = sizes[both.iter().position(|answer| answer.status() == 200).unwrap()] as u64;
        assert!(both.iter().all(|answer| matches!(answer, Answer::Cosigned(_)) || *answer == Answer::Conflict(size)));
        // To the next round's size.
        if size != 101 + round as u64 {
            return;
        }
    }
}

fn ask(address: SocketAddr, request: &str) -> String {
    let started = Instant::now();
    let mut socket = loop {
        match TcpStream::connect(address) {
            Ok(socket) => break socket,
            Err(error) => assert!(started.elapsed() < Duration::from_secs(10), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let _ = socket.write_all(request.as_bytes());
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    answer
}

fn post(address: SocketAddr, body: &str) -> String {
    let length = body.len();
    ask(
        address,
        &format!(
            "POST /add-checkpoint HTTP/1.1\r\nhost: w\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}

#[test]
fn the_port_speaks_http_as_specified_and_is_not_held_up() {
    let world = World::new();
    let (witness, config) = (world.open().unwrap(), world.config());
    let address = config.listen;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.spawn(async move { drieslot_witness::serve(witness, &config).await });
    let answer = post(address, &world.body(0, 0, 10));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains(&format!("\u{2014} {NAME} ")), "{answer}");
    let answer = post(address, &world.body(0, 0, 10)).to_lowercase();
    assert!(answer.starts_with("http/1.1 409 ") && answer.contains("content-type: text/x.tlog.size\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n10\n"), "{answer}");
    for (request, status) in [
        ("GET /add-checkpoint HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n", "405"),
        ("GET / HTTP/1.1\r\nhost: w\r\nconnection: close\r\n\r\n", "404"),
        ("POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: 999999999\r\n\r\nx", "413"),
        ("rubbish\r\n\r\n", "400"),
    ] {
        assert!(ask(address, request).starts_with(&format!("HTTP/1.1 {status} ")), "{request}");
    }
    // Those who send nothing, or not all, have their own places.
    let slow: Vec<_> = (0..200).filter_map(|_| TcpStream::connect(address).ok()).collect();
    assert!(slow.len() > 60);
    std::thread::sleep(Duration::from_millis(300));
    drop(slow);
    let started = Instant::now();
    while !post(address, &world.body(0, 10, 11)).starts_with("HTTP/1.1 200 ") {
        assert!(started.elapsed() < Duration::from_secs(5), "places that were left stay taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    runtime.shutdown_background();
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let world = World::new();
    let good = std::fs::read_to_string(world.path("witness.toml")).unwrap();
    let vkey = world.log.vkey(ORIGIN).unwrap();
    for (from, to, why) in [
        (NAME, "w 1", "not usable"),
        ("requests_per_second = 1000", "requests_per_second = 0", "at least 1"),
        (vkey.as_str(), "x+y+z", "log key"),
        ("name =", "nick =", "unknown field"),
        ("[[log]]", &format!("[[log]]\nkeys = [\"{vkey}\"]\n[[log]]"), "twice"),
        (&format!("[\"{vkey}\"]"), "[]", "no keys"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        std::fs::write(world.path("bad.toml"), text).unwrap();
        let error = WitnessConfig::load(&world.path("bad.toml")).unwrap_err().to_string();
        assert!(error.contains(why), "{to}: {error}");
    }
}
