//! A real journal before real witnesses over their ports: quorum and its loss, witnesses that hang or lie, and histories
//! that part.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use drieslot_journal::{Checkpoint, Cosigner, IdentityKey, Journal, JournalConfig, JournalError, Note, Verifier};
use drieslot_witness::{Cosigning, Policy, Unwitnessed, Witness, WitnessAddress, WitnessConfig};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const ORIGIN: &str = "agency.example/gateway-1";
const GRACE: Duration = Duration::from_secs(3);

/// A log's key, and witnesses that know it.
struct World {
    folder: TempDir,
    verifier: Verifier,
    witnesses: Vec<(SocketAddr, Cosigner)>,
    running: Vec<Option<JoinHandle<()>>>,
}

impl World {
    async fn new(witnesses: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = IdentityKey::generate().unwrap();
        key.save(&folder.path().join("log.key")).unwrap();
        let mut world =
            Self { verifier: key.verifier(ORIGIN).unwrap(), folder, witnesses: Vec::new(), running: Vec::new() };
        let held: Vec<_> = (0..witnesses).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        for (at, listener) in held.iter().enumerate() {
            let (key, address) = (IdentityKey::generate().unwrap(), listener.local_addr().unwrap());
            key.save(&world.path(&format!("w{at}.key"))).unwrap();
            let name = format!("witness.example/w{at}");
            let text = format!(
                "listen = \"{address}\"\nname = \"{name}\"\nkey = \"w{at}.key\"\nstate = \"w{at}\"\n[[log]]\nkeys = [\"{}\"]\n",
                world.verifier.vkey()
            );
            std::fs::write(world.path(&format!("w{at}.toml")), text).unwrap();
            world.witnesses.push((address, key.cosigner(&name).unwrap()));
            world.running.push(None);
        }
        drop(held);
        (0..witnesses).for_each(|at| world.start(at));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&mut self, at: usize) {
        let config = WitnessConfig::load(&self.path(&format!("w{at}.toml"))).unwrap();
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let witness = Witness::open(&config, Arc::new(clock)).unwrap();
        self.running[at] = Some(tokio::spawn(async move {
            let error = drieslot_witness::serve(witness, &config).await.unwrap_err();
            panic!("{error}");
        }));
    }

    /// Its connections and its lock go with it.
    async fn stop(&mut self, at: usize) {
        let running = self.running[at].take().unwrap();
        running.abort();
        let _ = running.await;
        while Witness::open(&WitnessConfig::load(&self.path(&format!("w{at}.toml"))).unwrap(), Arc::new(|| u64::MAX))
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn open(&self, name: &str) -> Result<Journal, JournalError> {
        let key = IdentityKey::load(&self.path("log.key")).unwrap();
        let config =
            JournalConfig { checkpoint_interval: Duration::from_millis(100), ..JournalConfig::new(ORIGIN, key) };
        Journal::open(&self.path(name), config).map(|(journal, _)| journal)
    }

    fn policy(&self, quorum: usize, faults: usize) -> Policy {
        let cosigners = self.witnesses.iter().map(|(_, cosigner)| cosigner.clone()).collect();
        Policy { cosigners, quorum, faults, grace: GRACE }
    }

    fn cosigning(&self, journal: &Journal, name: &str, policy: Policy) -> Result<Arc<Cosigning>, JournalError> {
        let address = |(address, cosigner): &(SocketAddr, Cosigner)| WitnessAddress {
            name: cosigner.name().to_owned(),
            url: format!("http://{address}").try_into().unwrap(),
        };
        let addresses = self.witnesses.iter().map(address).collect();
        let policy = move || Some(policy.clone());
        Cosigning::start(journal.clone(), &self.path(name), self.verifier.clone(), addresses, Box::new(policy))
    }

    /// How many of the witnesses cosigned what lies in the journal's folder.
    fn cosigned(&self, name: &str) -> (u64, usize) {
        let text = std::fs::read_to_string(self.path(name).join("checkpoint.cosigned")).unwrap();
        let (note, checkpoint) = (Note::parse(&text).unwrap(), Checkpoint::open(&text, &self.verifier).unwrap());
        let signed = self.witnesses.iter().filter(|(_, cosigner)| note.cosigned_by(cosigner).unwrap().is_some());
        (checkpoint.size, signed.count())
    }
}

fn append(journal: &Journal, text: &str) -> u64 {
    let index = journal.append(text.as_bytes().to_vec()).unwrap();
    journal.wait_durable(index).unwrap();
    index
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten() {
        match file.path().is_dir() {
            true => copy(&file.path(), &to.join(file.file_name())),
            false => drop(std::fs::copy(file.path(), to.join(file.file_name())).unwrap()),
        }
    }
}

async fn halts(cosigning: &Cosigning) -> String {
    let started = Instant::now();
    loop {
        if let Err(Unwitnessed::Halted(why)) = cosigning.check_one_history() {
            assert!(matches!(cosigning.check_grace(), Err(Unwitnessed::Halted(_))));
            assert!(matches!(cosigning.cosigned(0).await, Err(Unwitnessed::Halted(_))));
            return why.to_string();
        }
        assert!(started.elapsed() < Duration::from_secs(15), "nothing noticed the other history");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_quorum_is_lost_and_comes_back() {
    let mut world = World::new(3).await;
    let journal = world.open("log").unwrap();
    let cosigning = world.cosigning(&journal, "log", world.policy(2, 0)).unwrap();
    let begun = Instant::now();
    for count in 0..400 {
        append(&journal, &format!("entry {count}"));
    }
    let index = append(&journal, "the last");
    cosigning.cosigned(index).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let (size, signed) = world.cosigned("log");
    assert!(size > index && signed >= 2, "{size}, {signed}");
    world.stop(0).await;
    cosigning.cosigned(append(&journal, "without one")).await.unwrap();
    world.stop(1).await;
    let alone = append(&journal, "without two");
    let error = cosigning.cosigned(alone).await.unwrap_err();
    assert!(matches!(&error, Unwitnessed::NoQuorum { why, .. } if why.contains("witness.example/w1")), "{error}");
    let begun = Instant::now();
    assert!(matches!(cosigning.cosigned(alone).await, Err(Unwitnessed::NoQuorum { .. })));
    assert!(begun.elapsed() < Duration::from_secs(1), "once lost it is refused at once");
    assert!(matches!(cosigning.check_grace(), Err(Unwitnessed::NoQuorum { .. })), "the grace of 3 s is over");
    assert!(cosigning.check_one_history().is_ok());
    world.start(1);
    let begun = Instant::now();
    while cosigning.check_grace().is_err() {
        assert!(begun.elapsed() < Duration::from_secs(12), "the quorum does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cosigning.cosigned(alone).await.unwrap();
    assert!(world.cosigned("log").0 > alone);
    // And the part starts anew on what is there.
    drop(cosigning);
    journal.close().unwrap();
    let journal = world.open("log").unwrap();
    let cosigning = world.cosigning(&journal, "log", world.policy(2, 0)).unwrap();
    cosigning.cosigned(append(&journal, "after a restart")).await.unwrap();
    assert!(!cosigning.metrics().is_empty());
}

/// Quorums and faults that a charter could not have are not this module's business: one honest witness, one that hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_witness_that_hangs_or_answers_rubbish_is_one_that_is_away() {
    let mut world = World::new(4).await;
    for (at, answer) in [(0, None), (1, Some("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsigned"))] {
        world.stop(at).await;
        let listener = tokio::net::TcpListener::bind(world.witnesses[at].0).await.unwrap();
        world.running[at] = Some(tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                if let Some(answer) = answer {
                    let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 4096]).await;
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, answer.as_bytes()).await;
                }
                held.push(socket);
            }
        }));
    }
    let journal = world.open("log").unwrap();
    let cosigning = world.cosigning(&journal, "log", world.policy(2, 0)).unwrap();
    for count in 0..5 {
        let begun = Instant::now();
        cosigning.cosigned(append(&journal, &format!("entry {count}"))).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    assert_eq!(world.cosigned("log").1, 2);
}

/// One that lies can't stop a part whose charter reckons with one; and can't make it go on where two say the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn as_many_liars_as_the_charter_reckons_with_stop_nothing() {
    let mut world = World::new(4).await;
    let lie = "HTTP/1.1 409 Conflict\r\ncontent-type: text/x.tlog.size\r\ncontent-length: 7\r\nconnection: close\r\n\r\n999999\n";
    let liar = |address: SocketAddr| async move {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 8192]).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, lie.as_bytes()).await;
        }
    };
    world.stop(0).await;
    world.running[0] = Some(tokio::spawn(liar(world.witnesses[0].0)));
    let journal = world.open("log").unwrap();
    let cosigning = world.cosigning(&journal, "log", world.policy(3, 1)).unwrap();
    for count in 0..3 {
        cosigning.cosigned(append(&journal, &format!("entry {count}"))).await.unwrap();
    }
    assert!(cosigning.check_one_history().is_ok());
    world.stop(1).await;
    world.running[1] = Some(tokio::spawn(liar(world.witnesses[1].0)));
    append(&journal, "the next");
    let why = halts(&cosigning).await;
    assert!(why.contains("999999") && why.contains("keep its folder as evidence"), "{why}");
}

/// The folder is put back to an earlier copy: consistent in itself, and the writer takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_journal_that_was_put_back_is_noticed() {
    for (more, part) in [(0, "cosigned"), (200, "another root")] {
        let world = World::new(3).await;
        let journal = world.open("log").unwrap();
        let cosigning = world.cosigning(&journal, "log", world.policy(2, 0)).unwrap();
        let early = append(&journal, "early");
        cosigning.cosigned(early).await.unwrap();
        journal.close().unwrap();
        drop(cosigning);
        copy(&world.path("log"), &world.path("copy"));
        let journal = world.open("log").unwrap();
        let cosigning = world.cosigning(&journal, "log", world.policy(2, 0)).unwrap();
        for count in 0..100 {
            append(&journal, &format!("what somebody wants to be rid of, {count}"));
        }
        cosigning.cosigned(early + 100).await.unwrap();
        journal.close().unwrap();
        drop(cosigning);
        let journal = world.open("copy").unwrap();
        for count in 0..more {
            append(&journal, &format!("other things, {count}"));
        }
        // The checkpoint over them is there before the witnesses are asked.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let cosigning = world.cosigning(&journal, "copy", world.policy(2, 0)).unwrap();
        let why = halts(&cosigning).await;
        assert!(why.contains(part), "{why}");
    }
}

/// Two processes that sign with one key, each on a folder of its own: at most one history is cosigned, and the other writer
/// stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_writers_with_one_key_are_noticed() {
    let world = World::new(3).await;
    let journal = world.open("log").unwrap();
    let cosigning = world.cosigning(&journal, "log", world.policy(2, 0)).unwrap();
    cosigning.cosigned(append(&journal, "both have this")).await.unwrap();
    journal.close().unwrap();
    drop(cosigning);
    copy(&world.path("log"), &world.path("other"));
    let journals = ["log", "other"].map(|name| (name, world.open(name).unwrap()));
    let parts = journals.each_ref().map(|(name, journal)| world.cosigning(journal, name, world.policy(2, 0)).unwrap());
    let begun = Instant::now();
    let mut count = 0;
    while parts.iter().all(|cosigning| cosigning.check_one_history().is_ok()) {
        for (name, journal) in &journals {
            append(journal, &format!("{name} {count}"));
        }
        count += 1;
        assert!(begun.elapsed() < Duration::from_secs(15), "nobody noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let halted = parts.iter().filter(|cosigning| cosigning.check_one_history().is_err()).count();
    assert!(halted >= 1);
    // Both cosigned notes are of one history: the smaller is no longer than what both have, or its writer goes on alone.
    let sizes = ["log", "other"].map(|name| world.cosigned(name).0);
    assert!(sizes.iter().min().unwrap() <= &2 || halted == 1, "{sizes:?}");
}

/// What was cosigned lies in the folder too: a checkpoint that was put back alone is refused at the start.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_journal_behind_its_cosigned_checkpoint_does_not_start() {
    let world = World::new(1).await;
    let journal = world.open("log").unwrap();
    copy(&world.path("log"), &world.path("copy"));
    let cosigning = world.cosigning(&journal, "log", world.policy(1, 0)).unwrap();
    cosigning.cosigned(append(&journal, "one")).await.unwrap();
    journal.close().unwrap();
    drop(cosigning);
    let cosigned = world.path("log").join("checkpoint.cosigned");
    std::fs::copy(cosigned, world.path("copy").join("checkpoint.cosigned")).unwrap();
    let journal = world.open("copy").unwrap();
    assert!(matches!(world.cosigning(&journal, "copy", world.policy(1, 0)), Err(JournalError::Lost { .. })));
}

#[tokio::test]
async fn without_witnesses_nothing_waits() {
    let world = World::new(0).await;
    let journal = world.open("log").unwrap();
    let cosigning = world.cosigning(&journal, "log", Policy::default()).unwrap();
    cosigning.cosigned(append(&journal, "one")).await.unwrap();
    assert!(cosigning.check_grace().is_ok() && cosigning.check_one_history().is_ok() && cosigning.metrics().is_empty());
    assert!(!world.path("log").join("checkpoint.cosigned").exists());
}
