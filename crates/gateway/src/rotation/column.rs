//! One column: from cells of both epochs to cells of the new one alone, and the proof that none is left.

use std::time::Duration;

use bytes::Buf;
use drieslot_schema::Protected;
use drieslot_seal::{ColumnCipher, Nonces, epoch_of};
use drieslot_sql::{cell_check_name, cell_condition, quoted};
use zeroize::Zeroizing;

use super::place::Place;
use super::sql::{DEADLOCK, LOCK_NOT_AVAILABLE, Parameter, Rows, SERIALIZATION, Sql};
use super::{Job, Pace, Step, Tell};
use crate::refusal::Refusal;
use crate::session::array::{BYTEA_ARRAY_OID, BYTEA_OID, put_array};

const TID_OID: u32 = 27;
const TID_ARRAY_OID: u32 = 1_010;
/// Rows of the first batch, and at most.
pub(super) const FIRST_ROWS: usize = 16;
pub(super) const MAX_ROWS: usize = 4_096;
/// What a batch grows towards.
pub(super) const BATCH_BYTES: usize = 2 << 20;
const HELD_PAUSE: Duration = Duration::from_millis(200);
/// Others wait behind a lock that is waited for: not long, and not often.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '100ms'";
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// A row's place, as the processor sends it.
pub(super) type Tid = [u8; 6];

/// What one pass over the table did.
#[derive(Default)]
struct Passed {
    moved: u64,
    /// Rows that somebody else held or changed meanwhile.
    left: u64,
}

impl Job<'_> {
    /// How many cells there are in the end.
    pub(super) async fn run(&self, sql: &mut Sql, tell: Tell<'_>) -> Result<u64, Refusal> {
        let id = &self.place.protected.id;
        self.reseal_default(sql, tell).await?;
        let left = sql.number(&self.count_old()).await?;
        tell(Step::Begun(id, left));
        self.note("begun", left)?;
        let mut pace = Pace::new(self.pace);
        let mut moved = 0;
        self.until_none(sql, &mut pace, &mut moved, tell).await?;
        self.close_old_epoch(sql, tell).await?;
        tell(Step::Closed(id));
        self.until_none(sql, &mut pace, &mut moved, tell).await?;
        let check = quoted(&cell_check_name(&id.column));
        sql.run(&format!("ALTER TABLE {} VALIDATE CONSTRAINT {check}", self.place.table)).await?;
        self.note("closed", moved)?;
        let cells = self.verify(sql).await?;
        tell(Step::Verified(id, cells));
        Ok(cells)
    }

    fn note(&self, state: &'static str, cells: u64) -> Result<u64, Refusal> {
        let Self { worker, database, place, open, .. } = self;
        worker.note(state, Some(open), database, &place.protected, (open.to, cells))
    }

    fn old_cells(&self) -> String {
        format!("substring({}, 2, 2) = '\\x{:04x}'::bytea", self.place.column, self.open.from)
    }

    fn count_old(&self) -> String {
        format!("SELECT count(*) FROM ONLY {} WHERE {}", self.place.table, self.old_cells())
    }

    /// What the processor fills in by itself must not be of the old epoch.
    async fn reseal_default(&self, sql: &mut Sql, tell: Tell<'_>) -> Result<(), Refusal> {
        let Place { protected, table, column, .. } = self.place;
        let Some(cell) = self.place.default_cell()? else { return Ok(()) };
        if epoch_of(&cell) == Ok(self.open.to) {
            return Ok(());
        }
        let (old, new) = self.ciphers().await?;
        let fresh = reseal(protected, (&old, &new), &cell, &mut Nonces::new(), &mut Zeroizing::new(Vec::new()))
            .map_err(|why| Refusal::new("XX001", format!("the default of {} {why}", protected.id)))?;
        let mut digits = Vec::new();
        crate::session::hex(&fresh, &mut digits);
        let digits = String::from_utf8_lossy(&digits);
        let alter = format!("ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT '\\x{digits}'::bytea");
        self.locked(sql, &alter, tell).await
    }

    /// From now on the processor refuses what a gateway that has not heard of the rotation would write.
    async fn close_old_epoch(&self, sql: &mut Sql, tell: Tell<'_>) -> Result<(), Refusal> {
        let Place { protected, table, declared, .. } = self.place;
        let check = quoted(&cell_check_name(&protected.id.column));
        let condition = cell_condition(protected, *declared, Some(self.open.to));
        let alter = format!(
            "ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {check}, ADD CONSTRAINT {check} CHECK ({condition}) NOT VALID"
        );
        self.locked(sql, &alter, tell).await
    }

    /// Changes the definition, waiting for others only a moment at a time.
    async fn locked(&self, sql: &mut Sql, alter: &str, tell: Tell<'_>) -> Result<(), Refusal> {
        loop {
            sql.run("BEGIN").await?;
            sql.run(LOCK_TIMEOUT).await?;
            let done = sql.run(alter).await;
            sql.run(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            match done {
                Ok(_) => return Ok(()),
                Err(refusal) if [LOCK_NOT_AVAILABLE, DEADLOCK].contains(&refusal.sqlstate) => {
                    tell(Step::Locked(&self.place.protected.id));
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    async fn ciphers(&self) -> Result<(ColumnCipher, ColumnCipher), Refusal> {
        let (worker, protected) = (self.worker, &self.place.protected);
        Ok((worker.cipher(protected, self.open.from).await?, worker.cipher(protected, self.open.to).await?))
    }

    /// Passes over the table until one finds nothing of the old epoch.
    async fn until_none(&self, sql: &mut Sql, pace: &mut Pace, moved: &mut u64, tell: Tell<'_>) -> Result<(), Refusal> {
        loop {
            let passed = self.pass(sql, pace, moved, tell).await?;
            if passed.left > 0 {
                tell(Step::Held(&self.place.protected.id, passed.left));
                tokio::time::sleep(HELD_PAUSE).await;
            } else if passed.moved == 0 {
                return Ok(());
            }
        }
    }

    /// From the table's first page to its last. Rows that move meanwhile are for the next pass.
    async fn pass(&self, sql: &mut Sql, pace: &mut Pace, moved: &mut u64, tell: Tell<'_>) -> Result<Passed, Refusal> {
        let mut passed = Passed::default();
        let mut last = Tid::default();
        let mut rows = FIRST_ROWS;
        let mut nonces = Nonces::new();
        loop {
            let found = sql.binary(&self.select(rows), &[tid(&last)]).await?;
            let batch = self.reseal_all(found, &mut nonces).await?;
            // A scan from a place on goes page by page.
            let Some(end) = batch.tids.iter().max() else { return Ok(passed) };
            last = *end;
            let count = batch.tids.len();
            let changed = match sql.run_with(&self.update(), &batch.parameters()).await {
                Err(refusal) if [DEADLOCK, SERIALIZATION].contains(&refusal.sqlstate) => 0,
                other => other?,
            };
            self.note("moved", changed)?;
            passed.moved += changed;
            passed.left += u64::try_from(count).unwrap_or(u64::MAX).saturating_sub(changed);
            *moved += changed;
            tell(Step::Moved(&self.place.protected.id, *moved));
            rows = match batch.bytes {
                bytes if bytes > BATCH_BYTES => (count / 2).max(1),
                bytes if bytes < BATCH_BYTES / 2 => (count * 2).clamp(FIRST_ROWS, MAX_ROWS),
                _ => rows,
            };
            pace.after(changed).await;
        }
    }

    fn select(&self, rows: usize) -> String {
        let Place { table, column, .. } = self.place;
        let old = self.old_cells();
        format!("SELECT ctid, {column} FROM ONLY {table} WHERE ctid > $1 AND {old} LIMIT {rows}")
    }

    /// Compare and swap: a row that is held by somebody is left out, and one that has another cell by now too.
    fn update(&self) -> String {
        let Place { table, column, .. } = self.place;
        format!(
            "WITH given AS MATERIALIZED (SELECT * FROM unnest($1, $2, $3) AS given (id, old, new)), \
             free AS MATERIALIZED (SELECT t.ctid AS id, given.new FROM given JOIN ONLY {table} t ON t.ctid = given.id \
             WHERE t.{column} = given.old FOR NO KEY UPDATE OF t SKIP LOCKED) \
             UPDATE ONLY {table} t SET {column} = free.new FROM free WHERE t.ctid = free.id"
        )
    }

    async fn reseal_all(&self, rows: Rows, nonces: &mut Nonces) -> Result<Batch, Refusal> {
        let mut batch = Batch::default();
        if rows.is_empty() {
            return Ok(batch);
        }
        let (old, new) = self.ciphers().await?;
        let mut plain = Zeroizing::new(Vec::new());
        for row in rows {
            let (at, cell) = read(row)?;
            let protected = &self.place.protected;
            let fresh = reseal(protected, (&old, &new), &cell, nonces, &mut plain)
                .map_err(|why| does_not_open(protected, &at, &why))?;
            batch.bytes += cell.len() + fresh.len();
            batch.tids.push(at);
            batch.old.push(cell);
            batch.new.push(fresh);
        }
        Ok(batch)
    }

    /// Every cell opens with the new key, and there are no others.
    async fn verify(&self, sql: &mut Sql) -> Result<u64, Refusal> {
        let (_, new) = self.ciphers().await?;
        let counted = open_all(sql, self.place, std::slice::from_ref(&new)).await?;
        let cells = counted.iter().map(|(_, cells)| cells).sum();
        let entry = self.note("verified", cells)?;
        self.worker.trace.durable(entry).await?;
        Ok(cells)
    }
}

/// Rows to be changed.
#[derive(Default)]
struct Batch {
    tids: Vec<Tid>,
    old: Vec<bytes::Bytes>,
    new: Vec<Vec<u8>>,
    bytes: usize,
}

impl Batch {
    fn parameters(&self) -> [Parameter; 3] {
        let parameter = |oid| Parameter { oid, value: Vec::new() };
        let mut made = [parameter(TID_ARRAY_OID), parameter(BYTEA_ARRAY_OID), parameter(BYTEA_ARRAY_OID)];
        let [tids, old, new] = &mut made;
        put_array(TID_OID, self.tids.iter().map(|at| Some(at.as_slice())), &mut tids.value);
        put_array(BYTEA_OID, self.old.iter().map(|cell| Some(&**cell)), &mut old.value);
        put_array(BYTEA_OID, self.new.iter().map(|cell| Some(cell.as_slice())), &mut new.value);
        made
    }
}

pub(super) fn tid(at: &Tid) -> Parameter {
    Parameter { oid: TID_OID, value: at.to_vec() }
}

pub(super) fn read(row: Vec<Option<bytes::Bytes>>) -> Result<(Tid, bytes::Bytes), Refusal> {
    let odd = || Refusal::protocol("a row without place or cell");
    let [Some(at), Some(cell)] = <[_; 2]>::try_from(row).map_err(|_| odd())? else { return Err(odd()) };
    Ok((Tid::try_from(&*at).map_err(|_| odd())?, cell))
}

pub(super) fn reseal(
    protected: &Protected,
    (old, new): (&ColumnCipher, &ColumnCipher),
    cell: &[u8],
    nonces: &mut Nonces,
    plain: &mut Zeroizing<Vec<u8>>,
) -> Result<Vec<u8>, String> {
    plain.clear();
    old.open(cell, plain).map_err(|error| error.to_string())?;
    let mut fresh = Vec::with_capacity(cell.len());
    new.seal(plain, nonces, &mut fresh).map_err(|error| format!("of {}: {error}", protected.id))?;
    Ok(fresh)
}

pub(super) fn does_not_open(protected: &Protected, at: &Tid, why: &str) -> Refusal {
    let mut bytes = at.as_slice();
    let (block, row) = (bytes.get_u32(), bytes.get_u16());
    let table = &protected.id.table;
    Refusal::new(
        "XX001",
        format!("the cell of {} in the row of {table} with ctid ({block},{row}): {why}", protected.id),
    )
    .hint("The processor has changed or moved it: tell the key officer, and restore the row or delete it.")
}

/// Opens every cell of a column in one snapshot, each with the key of its epoch, and compares with the processor's count.
pub(super) async fn open_all(
    sql: &mut Sql,
    place: &Place,
    ciphers: &[ColumnCipher],
) -> Result<Vec<(u16, u64)>, Refusal> {
    let Place { table, column, protected, .. } = place;
    sql.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let expected = sql.number(&format!("SELECT count({column}) FROM ONLY {table}")).await?;
    let query = format!("SELECT ctid, {column} FROM ONLY {table} WHERE {column} IS NOT NULL");
    sql.run(&format!("DECLARE cells NO SCROLL CURSOR FOR {query}")).await?;
    let mut counted: Vec<(u16, u64)> = ciphers.iter().map(|cipher| (cipher.epoch(), 0)).collect();
    let mut plain = Zeroizing::new(Vec::new());
    let mut rows = FIRST_ROWS;
    loop {
        let found = sql.binary(&format!("FETCH {rows} FROM cells"), &[]).await?;
        if found.is_empty() {
            break;
        }
        let mut bytes = 0;
        for row in found {
            let (at, cell) = read(row)?;
            bytes += cell.len();
            let epoch = epoch_of(&cell).map_err(|error| does_not_open(protected, &at, &error.to_string()))?;
            let known = ciphers.iter().zip(&mut counted).find(|(cipher, _)| cipher.epoch() == epoch);
            let Some((cipher, (_, count))) = known else {
                return Err(does_not_open(protected, &at, &format!("epoch {epoch} is not in use")));
            };
            plain.clear();
            cipher.open(&cell, &mut plain).map_err(|error| does_not_open(protected, &at, &error.to_string()))?;
            *count += 1;
        }
        rows = if bytes > BATCH_BYTES { (rows / 2).max(1) } else { (rows * 2).min(MAX_ROWS) };
    }
    sql.run("COMMIT").await?;
    let opened: u64 = counted.iter().map(|(_, count)| count).sum();
    if opened != expected {
        return Err(Refusal::new(
            "XX001",
            format!("{opened} cells of {} opened, and {expected} are there", protected.id),
        ));
    }
    Ok(counted)
}
