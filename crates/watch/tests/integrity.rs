//! What becomes of a journal's own integrity: rolled back, two histories, malformed, standing still. Each is an alert, once,
//! also over restarts of the watcher.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drieslot_journal::{IdentityKey, Journal, JournalConfig, Reader, entry};
use drieslot_watch::{Alert, Clock, Rule, Watch, WatchConfig};
use jiff::Timestamp;

const ORIGIN: &str = "agency.example/gateway";

struct World {
    folder: tempfile::TempDir,
    config: WatchConfig,
}

fn key(path: &Path) -> IdentityKey {
    if !path.exists() {
        IdentityKey::generate().unwrap().save(path).unwrap();
    }
    IdentityKey::load(path).unwrap()
}

fn clock() -> Clock {
    Arc::new(|| "2026-03-02T10:00:00Z".parse::<Timestamp>().unwrap())
}

impl World {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vkey = key(&folder.path().join("g.key")).vkey(ORIGIN).unwrap();
        key(&folder.path().join("w.key"));
        let text = format!(
            "state = \"state\"\n[[journal]]\nfolder = \"g\"\nkey = \"{vkey}\"\n\
             [alerts]\njournal = \"w\"\nkey = \"w.key\"\norigin = \"agency.example/watch\"\n{more}"
        );
        let config = toml::from_str::<WatchConfig>(&text).unwrap().under(folder.path());
        Self { folder, config }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes the journal longer; closed, it has a checkpoint over all.
    fn write(&self, entries: &[Vec<u8>]) {
        let config = JournalConfig::new(ORIGIN, key(&self.at("g.key")));
        let (journal, _) = Journal::open(&self.at("g"), config).unwrap();
        for entry in entries {
            journal.append(entry.clone()).unwrap();
        }
        journal.close().unwrap();
    }

    fn copy(&self, from: &str, to: &str) {
        let _ = std::fs::remove_dir_all(self.at(to));
        assert!(Command::new("cp").arg("-a").arg(self.at(from)).arg(self.at(to)).status().unwrap().success());
    }

    /// Runs the watcher until it has raised so many alerts of all; gives them.
    fn watch(&self, count: usize) -> Vec<Alert> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let watch = Watch::open(&self.config, &clock()).unwrap();
            let started = Instant::now();
            let enough = async {
                while self.raised().len() < count {
                    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", self.raised());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                // None more.
                tokio::time::sleep(Duration::from_millis(1_500)).await;
            };
            tokio::select! {
                ended = watch.run() => panic!("{}", ended.unwrap_err()),
                () = enough => {}
            }
        });
        drop(runtime);
        let raised = self.raised();
        assert_eq!(raised.len(), count, "{raised:?}");
        raised
    }

    fn raised(&self) -> Vec<Alert> {
        let Ok(reader) = Reader::open(&self.at("w")) else { return Vec::new() };
        let read = reader.entries(0, reader.size()).unwrap().map(Result::unwrap);
        read.map(|(_, bytes)| entry::decode_as::<Alert>(&bytes).unwrap().body).collect()
    }
}

fn refused(second: u32) -> Vec<u8> {
    let body = serde_json::json!({"session": "0123456789abcdef", "principal": "app", "client": "127.0.0.1:1",
        "database": "civic", "sqlstate": "42501", "why": "no mandate"});
    entry::encode("refused", &format!("2026-03-02T09:00:{second:02}Z"), &body).unwrap()
}

#[test]
fn a_rollback_and_a_second_history_are_told_with_both_notes_and_once() {
    let world = World::new("");
    world.write(&[refused(1), refused(2)]);
    world.copy("g", "old");
    world.write(&[refused(3)]);
    assert_eq!(world.watch(1)[0].rule, Rule::Refused);
    world.copy("old", "g");
    let raised = world.watch(2);
    assert_eq!(raised[1].rule, Rule::RolledBack, "{raised:?}");
    assert!(raised[1].notes[0].contains("\n3\n") && raised[1].notes[1].contains("\n2\n"), "{raised:?}");
    world.watch(2);
    world.write(&[refused(4), refused(5), refused(6)]);
    let raised = world.watch(3);
    assert_eq!((raised[2].rule, raised[2].severity.as_str()), (Rule::SplitView, "critical"), "{raised:?}");
    assert!(raised[2].notes[0].contains("\n3\n") && raised[2].notes[1].contains("\n5\n"), "{raised:?}");
    world.watch(3);
}

#[test]
fn an_entry_that_cannot_be_understood_blinds_nobody() {
    let world = World::new("");
    world.write(&[refused(1), b"{\"v\":2}".to_vec(), b"nonsense".to_vec()]);
    let outcome = serde_json::json!({"session": "0123456789abcdef", "intent": 0, "rows": 1, "state": "done"});
    world.write(&[entry::encode("outcome", "2026-03-02T10:30:00Z", &outcome).unwrap()]);
    let raised = world.watch(2);
    let rules: Vec<_> = raised.iter().map(|alert| (alert.rule, alert.hour.as_str(), alert.entries[0].index)).collect();
    // Three of them in one hour are one alert: what cannot be read counts at the time of what was read before it.
    assert_eq!(rules, [(Rule::Refused, "2026-03-02T09:00:00Z", 0), (Rule::Unreadable, "2026-03-02T09:00:00Z", 1)]);
}

#[test]
fn a_journal_that_stands_still_is_told_by_the_caller_s_clock() {
    let world = World::new("stands_still_after_s = 3000\nwithout = [\"refused\"]\n");
    world.write(&[refused(1)]);
    let raised = world.watch(1);
    assert_eq!((raised[0].rule, raised[0].principal.as_deref()), (Rule::StandsStill, None));
    assert!(raised[0].seen.contains("2026-03-02T09:00:01Z"), "{raised:?}");
    world.watch(1);
}
