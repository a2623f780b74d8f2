//! Tests' own faults: the n-th operation on a journal's files fails, or the machine dies before it and what was not synced
//! is lost. See `docs/journal.md`, order of writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::{Durability, IdentityKey, Journal, JournalConfig, JournalError, Reader, recovery, verify};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// One operation fails; those after it would work.
    Fails,
    /// Nothing works any more; of what was not synced, content is lost and names stay.
    DiesEmptied,
    /// The same, and new names are lost.
    DiesVanished,
}

/// What a file still lacks to outlive a loss of power.
#[derive(Default)]
struct Lacking {
    content: bool,
    name: bool,
}

struct Plan {
    folder: PathBuf,
    fault: Fault,
    left: u32,
    failed: Option<(&'static str, PathBuf)>,
    retried: bool,
    /// Temporary files that are synced.
    synced: BTreeSet<PathBuf>,
    lacking: BTreeMap<PathBuf, Lacking>,
}

static PLANS: Mutex<Vec<Plan>> = Mutex::new(Vec::new());

fn plans() -> MutexGuard<'static, Vec<Plan>> {
    PLANS.lock().unwrap()
}

/// Called before each operation.
pub(crate) fn step(what: &'static str, path: &Path) -> io::Result<()> {
    let mut plans = plans();
    let Some(plan) = plans.iter_mut().find(|plan| path.starts_with(&plan.folder)) else { return Ok(()) };
    if let Some((_, failed)) = &plan.failed {
        plan.retried |= what == "sync" && failed == path;
        return if plan.fault == Fault::Fails { Ok(()) } else { Err(io::Error::other("injected: dead")) };
    }
    match plan.left.checked_sub(1) {
        None => {
            plan.failed = Some((what, path.to_owned()));
            return Err(io::Error::other(format!("injected at {what} {}", path.display())));
        }
        Some(left) => plan.left = left,
    }
    match what {
        "sync" if path.is_dir() => {
            for (file, lacking) in &mut plan.lacking {
                lacking.name &= file.parent() != Some(path);
            }
        }
        "sync" if path.extension().is_some_and(|extension| extension == "new") => drop(plan.synced.insert(path.into())),
        "sync" => plan.lacking.entry(path.into()).or_default().content = false,
        "rename" if crate::files::temporary(path).is_dir() => {
            let from = crate::files::temporary(path);
            for (file, lacking) in std::mem::take(&mut plan.lacking) {
                let moved = file.strip_prefix(&from).map(|rest| path.join(rest));
                plan.lacking.insert(moved.unwrap_or(file), lacking);
            }
            plan.lacking.insert(path.into(), Lacking { content: false, name: true });
        }
        "rename" => {
            let content = !plan.synced.remove(&crate::files::temporary(path));
            let name = !path.exists() || plan.lacking.get(path).is_some_and(|lacking| lacking.name);
            plan.lacking.insert(path.into(), Lacking { content, name });
        }
        _ => {}
    }
    Ok(())
}

fn arm(folder: &Path, fault: Fault, left: u32) {
    let folder = folder.to_owned();
    let (synced, lacking) = (BTreeSet::new(), BTreeMap::new());
    plans().push(Plan { folder, fault, left, failed: None, retried: false, synced, lacking });
}

/// Takes the plan away, and what the loss of power takes.
fn lose(folder: &Path) -> Plan {
    let mut plans = plans();
    let at = plans.iter().position(|plan| plan.folder == folder).unwrap();
    let plan = plans.remove(at);
    drop(plans);
    for (path, lacking) in plan.lacking.iter().filter(|(path, _)| plan.fault != Fault::Fails && path.exists()) {
        match (lacking.content, lacking.name && plan.fault == Fault::DiesVanished) {
            (_, true) if path.is_dir() => fs::rename(path, crate::files::temporary(path)).unwrap(),
            (_, true) => fs::remove_file(path).unwrap(),
            (true, false) => fs::write(path, b"").unwrap(),
            (false, false) => {}
        }
    }
    plan
}

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let (from, to) = (item.as_ref().unwrap().path(), to.join(item.unwrap().file_name()));
        if from.is_dir() { copy(&from, &to) } else { fs::copy(&from, &to).map(drop).unwrap() }
    }
}

struct World {
    folder: PathBuf,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl World {
    /// A journal of `size` entries in `before`.
    fn new(name: &str, size: u64) -> Self {
        let name = format!("drieslot-journal-faults-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().canonicalize().unwrap().join(name);
        fs::create_dir(&folder).unwrap();
        IdentityKey::generate().unwrap().save(&folder.join("key")).unwrap();
        let world = Self { folder };
        let journal = world.open("before").unwrap();
        (0..size).for_each(|index| assert_eq!(journal.append(entry(index)).unwrap(), index));
        journal.close().unwrap();
        world
    }

    /// One that writes a checkpoint after each commit, and renews its write-ahead file at each full bundle.
    fn open(&self, name: &str) -> Result<Journal, JournalError> {
        let key = IdentityKey::load(&self.folder.join("key")).unwrap();
        let config = JournalConfig { checkpoint_interval: Duration::ZERO, ..JournalConfig::new("o", key) };
        let (mut writer, _) = recovery::open(&self.folder.join(name), config)?;
        assert_eq!(writer.durability, Durability::Fsync);
        writer.settle_bytes = 1;
        Journal::start(writer)
    }

    /// Appends until all is done or the fault comes: how many entries were acknowledged, and how it ended.
    fn append(&self, from: u64, to: u64) -> (u64, Result<(), JournalError>) {
        let journal = match self.open("now") {
            Ok(journal) => journal,
            Err(error) => return (from, Err(error)),
        };
        for index in from..to {
            if let Err(error) = journal.append(entry(index)).and_then(|index| journal.wait_durable(index)) {
                assert!(matches!(journal.append(entry(0)), Err(JournalError::Failed { .. })), "poisoned for good");
                assert!(matches!(journal.close(), Err(JournalError::Failed { .. })));
                return (index, Err(error));
            }
        }
        (to, journal.close())
    }

    /// False where the work was done before the fault came.
    fn try_once(&self, fault: Fault, left: u32, from: u64, to: u64) -> bool {
        let now = self.folder.join("now");
        let _ = fs::remove_dir_all(&now);
        copy(&self.folder.join("before"), &now);
        arm(&now, fault, left);
        let (acknowledged, ended) = self.append(from, to);
        let plan = lose(&now);
        let Some(at) = plan.failed else {
            ended.unwrap();
            return false;
        };
        let error = ended.expect_err("an operation failed, and the journal went on").to_string();
        assert!(error.contains("injected"), "{at:?}: {error}");
        assert!(!plan.retried, "{at:?}: a sync that failed was tried again");
        let verifier = IdentityKey::load(&self.folder.join("key")).unwrap().verifier("o").unwrap();
        let journal = self.open("now").unwrap_or_else(|error| panic!("{fault:?} {at:?}: {error}"));
        let found = journal.durable();
        assert!(found >= acknowledged, "{fault:?} {at:?}: {acknowledged} were acknowledged, {found} are there");
        journal.append(entry(found)).unwrap();
        journal.close().unwrap();
        verify(&now, &verifier).unwrap_or_else(|error| panic!("{fault:?} {at:?}: {error}"));
        let reader = Reader::open(&now).unwrap();
        let all: Vec<_> = reader.entries(0, found + 1).unwrap().map(|entry| entry.unwrap().1).collect();
        assert!(all.into_iter().eq((0..=found).map(entry)), "{fault:?} {at:?}");
        true
    }

    fn at_each_operation(&self, fault: Fault, from: u64, to: u64) {
        let tried = (0..).take_while(|left| self.try_once(fault, *left, from, to)).count();
        assert!(tried > 60, "only {tried} operations");
    }
}

/// The first renewal of the write-ahead file, and checkpoints after it.
#[test]
fn each_operation_that_fails_stops_the_journal_for_good() {
    World::new("fails", 252).at_each_operation(Fault::Fails, 252, 262);
}

#[test]
fn a_loss_of_power_at_any_operation_loses_nothing_acknowledged() {
    for (name, size) in [("first", 252), ("second", 510)] {
        let world = World::new(name, size);
        for fault in [Fault::DiesEmptied, Fault::DiesVanished] {
            world.at_each_operation(fault, size, size + 8);
        }
    }
}

/// The mark, and the new journal behind it: whatever operation fails, doing it again ends well, and the old journal takes
/// nothing any more from the moment that a new one could be there.
#[test]
fn a_succession_is_done_again_after_any_fault() {
    for fault in [Fault::Fails, Fault::DiesEmptied, Fault::DiesVanished] {
        let world = World::new(&format!("succession-{fault:?}"), 300);
        copy(&world.folder.join("before"), &world.folder.join("old"));
        IdentityKey::generate().unwrap().save(&world.folder.join("next.key")).unwrap();
        let next = || IdentityKey::load(&world.folder.join("next.key")).unwrap();
        let succeed = || {
            crate::Stopped::lock(&world.folder.join("old"))?.end(&next().verifier("next").unwrap())?;
            crate::begin(&world.folder.join("next"), JournalConfig::new("next", next()), entry(7), |is| is == entry(7))
        };
        for left in 0.. {
            let _ = fs::remove_dir_all(world.folder.join("next"));
            let _ = fs::remove_dir_all(world.folder.join("next.new"));
            let _ = fs::remove_file(world.folder.join("old/succeeded"));
            arm(&world.folder, fault, left);
            let done = succeed();
            let failed = lose(&world.folder).failed;
            if world.folder.join("next").exists() {
                let old = JournalConfig::new("o", IdentityKey::load(&world.folder.join("key")).unwrap());
                assert!(matches!(recovery::open(&world.folder.join("old"), old), Err(JournalError::Ended { .. })));
            } else {
                assert!(done.is_err(), "{failed:?}");
                succeed().unwrap_or_else(|error| panic!("{fault:?} {failed:?}: {error}"));
            }
            let verifier = next().verifier("next").unwrap();
            let config = JournalConfig::new("next", next());
            Journal::open(&world.folder.join("next"), config).unwrap().0.close().unwrap();
            let size = verify(&world.folder.join("next"), &verifier).unwrap().checkpoint.size;
            assert_eq!(size, 1, "{fault:?} {failed:?}");
            if failed.is_none() {
                assert!(left > 10, "only {left} operations");
                break;
            }
        }
    }
}

/// Whatever operation of a pruning fails: nothing that stays is lost, readers see the old or the new state, and it is done again.
#[test]
fn a_pruning_is_done_again_after_any_fault() {
    const BEFORE: u64 = 512;
    let body = serde_json::json!({"before": BEFORE});
    let said = || crate::entry::encode("prune", "2026-01-31T23:59:59Z", &body).unwrap();
    for fault in [Fault::Fails, Fault::DiesEmptied, Fault::DiesVanished] {
        let world = World::new(&format!("pruning-{fault:?}"), 800);
        let (now, key) = (world.folder.join("now"), || IdentityKey::load(&world.folder.join("key")).unwrap());
        let config = || JournalConfig::new("o", key());
        let verifier = key().verifier("o").unwrap();
        let whole = |what: &dyn std::fmt::Debug| {
            Journal::open(&now, config()).unwrap_or_else(|error| panic!("{what:?}: {error}")).0.close().unwrap();
            verify(&now, &verifier).unwrap_or_else(|error| panic!("{what:?}: {error}"));
            let reader = Reader::open(&now).unwrap();
            let kept = reader.entries(reader.first(), 800).unwrap().map(|entry| entry.unwrap().1);
            assert!(kept.eq((reader.first()..800).map(entry)), "{what:?}");
        };
        for left in 0.. {
            let _ = fs::remove_dir_all(&now);
            copy(&world.folder.join("before"), &now);
            arm(&now, fault, left);
            let done = crate::prune(&now, config(), BEFORE, said());
            let failed = lose(&now).failed;
            whole(&failed);
            if failed.is_some() {
                done.unwrap_err();
                assert_eq!(crate::prune(&now, config(), BEFORE, said()).unwrap().first, BEFORE, "{failed:?}");
                whole(&failed);
            }
            for gone in ["entries/000", "entries/001", "0/000", "0/001"] {
                assert!(!now.join("tile").join(gone).exists(), "{fault:?} {failed:?}: {gone}");
            }
            if failed.is_none() {
                assert!(left > 20, "only {left} operations");
                break;
            }
        }
    }
}
