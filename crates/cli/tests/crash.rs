//! kill -9 of every part under load. What was acknowledged is there and reads back, what was not is whole or absent,
//! every journal verifies, and every acknowledged statement has its entries.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::Trial;
use common::check::Canary;
use common::random::Random;
use common::session::code;
use drieslot_journal::{Reader, entry};
use tokio_postgres::{Client, Error, SimpleQueryMessage, Statement};

const SESSIONS: i32 = 4;
/// Ids of a round's rows: `round * ROUND + session * SESSION + n`.
const ROUND: i32 = 1_000_000;
const SESSION: i32 = 100_000;
const NUMBERS: i64 = 8_123_400_000_000_000_000;
const VICTIMS: [&str; 7] = ["gateway", "custodian-access", "register", "processor", "all", "up", "custodian-keys"];

/// What a row may hold: exactly one state where its last change was acknowledged, two where it was not.
type Row = Vec<Option<String>>;

/// One session's load and what was acknowledged of it.
struct Load {
    client: Client,
    /// The session's address as the journal names it.
    address: String,
    simple: bool,
    random: Random,
    first: i32,
    next: i32,
    changes: u32,
    rows: BTreeMap<i32, Row>,
    /// Rows of a transaction whose COMMIT was not acknowledged: all there, or none.
    together: Vec<i32>,
    /// Command tags of acknowledged traced statements, in order.
    acknowledged: Vec<String>,
    statements: Option<[Statement; 3]>,
}

const INSERT: &str = "INSERT INTO permit (permit_id, national_number, kind, remark) VALUES ($1, $2, $3, $4)";
const UPDATE: &str = "UPDATE permit SET remark = $2 WHERE permit_id = $1";
const SELECT: &str = "SELECT national_number, remark FROM permit WHERE permit_id = $1";

fn number(id: i32) -> i64 {
    NUMBERS + i64::from(id)
}

impl Load {
    async fn open(trial: &Trial, round: i32, session: i32, seed: u64) -> Self {
        let stream = trial.app_stream().await;
        let address = stream.local_addr().unwrap().to_string();
        let (client, connection) = trial.app_config().connect_raw(stream, trial.tls()).await.unwrap();
        tokio::spawn(connection);
        let first = round * ROUND + session * SESSION;
        Self {
            client,
            address,
            simple: session % 2 == 1,
            random: Random(seed ^ u64::from(first.unsigned_abs())),
            first,
            next: first,
            changes: 0,
            rows: BTreeMap::new(),
            together: Vec::new(),
            acknowledged: Vec::new(),
            statements: None,
        }
    }

    /// Goes on until the session breaks; gives why.
    async fn run(&mut self) -> Error {
        loop {
            let done = match self.random.below(8) {
                0..3 => self.insert_one().await,
                3..5 => self.update_one().await,
                5..7 => self.read_one().await,
                _ => self.transaction().await,
            };
            if let Err(error) = done {
                return error;
            }
        }
    }

    fn remark(&mut self, id: i32) -> String {
        self.changes += 1;
        format!("CANARY-crash-{id}-{}", self.changes)
    }

    async fn statements(&mut self) -> Result<[Statement; 3], Error> {
        if self.statements.is_none() {
            let insert = self.client.prepare(INSERT).await?;
            let update = self.client.prepare(UPDATE).await?;
            self.statements = Some([insert, update, self.client.prepare(SELECT).await?]);
        }
        Ok(self.statements.clone().unwrap())
    }

    async fn insert(&mut self, id: i32, remark: &str) -> Result<(), Error> {
        let count = if self.simple {
            let number = number(id);
            let sql = format!("INSERT INTO permit VALUES ({id}, {number}, 'crash', '{remark}')");
            counted(&self.client.simple_query(&sql).await?)
        } else {
            let [insert, ..] = self.statements().await?;
            self.client.execute(&insert, &[&id, &number(id), &"crash", &remark]).await?
        };
        assert_eq!(count, 1);
        self.acknowledged.push("INSERT 0 1".into());
        Ok(())
    }

    async fn insert_one(&mut self) -> Result<(), Error> {
        let id = self.next;
        self.next += 1;
        let remark = self.remark(id);
        self.rows.insert(id, vec![None, Some(remark.clone())]);
        self.insert(id, &remark).await?;
        self.rows.insert(id, vec![Some(remark)]);
        Ok(())
    }

    /// An id of this session that is in the table for sure.
    fn some_id(&mut self) -> Option<i32> {
        let count = usize::try_from(self.next - self.first).unwrap();
        (count > 0).then(|| self.first + i32::try_from(self.random.below(count)).unwrap())
    }

    async fn update_one(&mut self) -> Result<(), Error> {
        let Some(id) = self.some_id() else { return Ok(()) };
        let remark = self.remark(id);
        self.rows.get_mut(&id).unwrap().push(Some(remark.clone()));
        let count = if self.simple {
            let sql = format!("UPDATE permit SET remark = '{remark}' WHERE national_number = {}", number(id));
            counted(&self.client.simple_query(&sql).await?)
        } else {
            let [_, update, _] = self.statements().await?;
            self.client.execute(&update, &[&id, &remark]).await?
        };
        assert_eq!(count, 1, "row {id} was acknowledged and is not there");
        self.acknowledged.push("UPDATE 1".into());
        self.rows.insert(id, vec![Some(remark)]);
        Ok(())
    }

    async fn read_one(&mut self) -> Result<(), Error> {
        let Some(id) = self.some_id() else { return Ok(()) };
        let (found_number, remark) = if self.simple {
            let sql = format!("SELECT national_number, remark FROM permit WHERE permit_id = {id}");
            let said = self.client.simple_query(&sql).await?;
            let rows: Vec<_> = said.iter().filter_map(row).collect();
            assert_eq!(rows.len(), 1);
            (rows[0].get(0).unwrap().parse().unwrap(), rows[0].get(1).map(str::to_owned))
        } else {
            let [_, _, select] = self.statements().await?;
            let row = self.client.query_one(&select, &[&id]).await?;
            (row.get::<_, i64>(0), row.get(1))
        };
        self.acknowledged.push("SELECT 1".into());
        assert_eq!((found_number, vec![remark]), (number(id), self.rows[&id].clone()), "row {id} read back");
        Ok(())
    }

    async fn transaction(&mut self) -> Result<(), Error> {
        self.client.batch_execute("BEGIN").await?;
        let ids = [self.next, self.next + 1];
        self.next += 2;
        let remarks = ids.map(|id| self.remark(id));
        for (id, remark) in ids.into_iter().zip(&remarks) {
            self.rows.insert(id, vec![None, Some(remark.clone())]);
        }
        self.together = ids.to_vec();
        for (id, remark) in ids.into_iter().zip(&remarks) {
            self.insert(id, remark).await?;
        }
        self.client.batch_execute("COMMIT").await?;
        self.together.clear();
        for (id, remark) in ids.into_iter().zip(remarks) {
            self.rows.insert(id, vec![Some(remark)]);
        }
        Ok(())
    }
}

fn row(message: &SimpleQueryMessage) -> Option<&tokio_postgres::SimpleQueryRow> {
    if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }
}

fn counted(messages: &[SimpleQueryMessage]) -> u64 {
    messages.iter().find_map(|m| if let SimpleQueryMessage::CommandComplete(n) = m { Some(*n) } else { None }).unwrap()
}

/// The load of one round, up to the victim's end.
async fn under_load(trial: &mut Trial, round: i32, victim: &str, random: &mut Random) -> Vec<Load> {
    let mut sessions = Vec::new();
    for session in 0..SESSIONS {
        sessions.push(Load::open(trial, round, session, random.next()).await);
    }
    let running: Vec<_> = sessions
        .into_iter()
        .map(|mut load| {
            tokio::spawn(async move {
                let why = load.run().await;
                (load, why)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(150 + random.next() % 900)).await;
    if victim == "all" {
        trial.kill_all();
    } else {
        let id = trial.id_of(victim);
        trial.kill_part(victim);
        let (status, said) = trial.wait_ended(victim != "up");
        if victim != "up" {
            assert!(!status.success(), "`drieslot up` ended as if all were well, though {victim} ({id}) was killed");
            assert!(said.contains("ended by itself (signal: 9"), "it does not say what ended:\n{said}");
        }
    }
    let mut ended = Vec::new();
    for task in running {
        let done = tokio::time::timeout(Duration::from_secs(60), task).await.expect("a session hangs");
        let (load, why) = done.expect("a session read something wrong");
        // The break of a connection, or an error that says so. Never a wrong answer.
        let allowed = ["57P01", "08006", "58000", "58030", "57P03", "57P02"];
        assert!(why.code().is_none() || allowed.contains(&code(&why).as_str()), "{victim} was killed; told: {why:?}");
        ended.push(load);
    }
    ended
}

/// Every row of the round, read through the gateway.
async fn rows_of(trial: &Trial, round: i32) -> BTreeMap<i32, (i64, Option<String>)> {
    let client = trial.app_session().await;
    let range = format!("permit_id >= {} AND permit_id < {}", round * ROUND, (round + 1) * ROUND);
    let sql = format!("SELECT permit_id, national_number, remark FROM permit WHERE {range}");
    let said = client.simple_query(&sql).await.unwrap();
    let read = |row: &tokio_postgres::SimpleQueryRow| {
        let number = row.get(1).unwrap().parse().unwrap();
        (row.get(0).unwrap().parse().unwrap(), (number, row.get(2).map(str::to_owned)))
    };
    said.iter().filter_map(row).map(read).collect()
}

fn nothing_acknowledged_is_lost(loads: &[Load], mut found: BTreeMap<i32, (i64, Option<String>)>) {
    for load in loads {
        for (id, states) in &load.rows {
            let state = found.remove(id).map(|(found_number, remark)| {
                assert_eq!(found_number, number(*id), "row {id}");
                remark.unwrap_or_else(|| panic!("row {id} lost its remark"))
            });
            assert!(states.contains(&state), "row {id} is {state:?}, and may be {states:?}");
        }
    }
    assert!(found.is_empty(), "rows that nobody inserted: {found:?}");
}

fn transactions_are_whole(loads: &[Load], found: &BTreeMap<i32, (i64, Option<String>)>) {
    for load in loads {
        let there = load.together.iter().filter(|id| found.contains_key(id)).count();
        assert!(there == 0 || there == load.together.len(), "half of the transaction {:?} is there", load.together);
    }
}

/// Every entry since `from` can be read, and each session's acknowledged statements stand there in their order.
fn acknowledged_are_traced(trial: &Trial, from: u64, loads: &[Load]) {
    let reader = Reader::open(&trial.journal("gateway")).unwrap();
    let mut intents: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut done: BTreeMap<u64, String> = BTreeMap::new();
    for found in reader.entries(from, reader.size()).unwrap() {
        let (index, bytes) = found.unwrap();
        let entry = entry::decode(&bytes).unwrap_or_else(|error| panic!("entry {index} is torn: {error}"));
        let text = |name: &str| entry.body.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        if entry.kind == "intent" {
            intents.entry(text("client")).or_default().push(index);
        } else if entry.kind == "outcome" && text("state") == "done" {
            done.insert(entry.body["intent"].as_u64().unwrap(), text("tag"));
        }
    }
    for load in loads {
        let own = intents.get(&load.address).map(Vec::as_slice).unwrap_or_default();
        let traced: Vec<String> = own.iter().filter_map(|index| done.get(index).cloned()).collect();
        assert!(traced.starts_with(&load.acknowledged), "acknowledged: {:?}\ntraced: {traced:?}", load.acknowledged);
        assert!(traced.len() <= load.acknowledged.len() + 1, "more was traced than one session can have had under way");
    }
}

fn entries(trial: &Trial) -> u64 {
    Reader::open(&trial.journal("gateway")).unwrap().size()
}

fn seed() -> u64 {
    let chosen = std::env::var("DRIESLOT_SEED").ok().and_then(|text| text.parse().ok());
    chosen.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into())
}

/// `./check` kills each part twice; DRIESLOT_FULL=1 makes forty rounds.
#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_untraced_when_a_part_is_killed() {
    let seed = seed();
    println!("again with DRIESLOT_SEED={seed}");
    let mut random = Random(seed);
    let full = std::env::var_os("DRIESLOT_FULL").is_some();
    let rounds = if full { 40 } else { 2 * 6 };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut trial = Trial::usual();
    let canaries = [Canary::Text("CANARY-crash-".into()), Canary::Int8(number(ROUND))];
    let mut acknowledged = 0;
    for round in 1..=rounds {
        let started = Instant::now();
        let place = usize::try_from(round - 1).unwrap();
        let victim = if full { VICTIMS[place % 7] } else { VICTIMS[place % 6] };
        let before = entries(&trial);
        let loads = runtime.block_on(under_load(&mut trial, round, victim, &mut random));
        trial.resume();
        let found = runtime.block_on(rows_of(&trial, round));
        transactions_are_whole(&loads, &found);
        nothing_acknowledged_is_lost(&loads, found);
        acknowledged_are_traced(&trial, before, &loads);
        trial.check_journals();
        let count: usize = loads.iter().map(|load| load.acknowledged.len()).sum();
        println!("round {round}: {victim} killed, {count} statements were acknowledged ({:.1?})", started.elapsed());
        acknowledged += count;
    }
    assert!(acknowledged > 20 * usize::try_from(rounds).unwrap(), "only {acknowledged} statements: that is no load");
    trial.check(&canaries);
    trial.stop();
}
