//! Cells that the processor compares or searches: all cells of a domain are exchanged in one transaction.
//!
//! Before it, a table beside each table is filled with the new cell of each old one, by the hash of the old. Then, while
//! no session of a gateway is under way (`session/guard.rs`) and the tables are locked, what came since is added, and
//! `ALTER COLUMN … TYPE … USING` writes the tables anew: PostgreSQL itself makes indexes, keys and order right.

use std::time::{Duration, Instant};

use bytes::Bytes;
use drieslot_register::OpenRotation;
use drieslot_schema::Protected;
use drieslot_seal::{ColumnCipher, Nonces, epoch_of};
use drieslot_sql::{cell_check_name, cell_condition, quoted};
use zeroize::Zeroizing;

use super::column::{BATCH_BYTES, FIRST_ROWS, MAX_ROWS, Tid, does_not_open, open_all, read, reseal, tid};
use super::place::Place;
use super::sql::{DEADLOCK, LOCK_NOT_AVAILABLE, Parameter, Sql};
use super::{Pace, Step, Tell, Worker, find_all};
use crate::refusal::Refusal;
use crate::session::array::{BYTEA_ARRAY_OID, BYTEA_OID, put_array};
use crate::session::guard::EXCHANGE_LOCK;

/// Others wait behind a lock that is waited for: not long, and not often.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '300ms'";
const LOCK_PAUSE: Duration = Duration::from_millis(300);
/// As few cells may be left when the tables are locked.
const FEW: u64 = 200;

/// All compared columns of a domain, which are in one database.
pub(super) struct Exchange<'a> {
    pub(super) worker: &'a Worker,
    pub(super) database: &'a str,
    pub(super) columns: &'a [Protected],
    pub(super) open: &'a OpenRotation,
    pub(super) pace: Option<u64>,
    pub(super) terminate_after: Option<Duration>,
}

/// A constraint that is left out while the tables are written.
struct Constraint {
    table: String,
    name: String,
    /// With new cells.
    definition: String,
}

/// Where the new cells of a column lie.
fn map(place: &Place) -> String {
    let (oid, number) = (place.oid, place.number);
    format!("{}.{}", quoted(&place.protected.id.table.schema), quoted(&format!("drieslot_cells_{oid}_{number}")))
}

fn place_list(places: &[Place]) -> String {
    let pairs: Vec<String> = places.iter().map(|place| format!("({}, {})", place.oid, place.number)).collect();
    pairs.join(", ")
}

impl Exchange<'_> {
    /// How many cells there are in the end.
    pub(super) async fn run(&self, sql: &mut Sql, tell: Tell<'_>) -> Result<u64, Refusal> {
        let places = find_all(sql, self.columns).await?;
        if places.iter().any(|place| place.least_epoch != Some(self.open.to)) {
            self.nothing_depends(sql, &places).await?;
            self.constraints(sql, &places).await?;
            for place in &places {
                self.prepare(sql, place, tell).await?;
            }
            self.exchange_when_alone(sql, tell).await?;
        }
        self.finish(sql, tell).await
    }

    /// What PostgreSQL would not let be, or would not bring along.
    async fn nothing_depends(&self, sql: &mut Sql, places: &[Place]) -> Result<(), Refusal> {
        for place in places {
            let (oid, number, table) = (place.oid, place.number, &place.protected.id.table);
            let question = format!(
                "SELECT pg_describe_object(d.classid, d.objid, 0) FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass \
                 AND d.refobjid = {oid} AND d.refobjsubid = {number} AND d.classid IN ('pg_rewrite'::regclass, \
                 'pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_publication_rel'::regclass, 'pg_statistic_ext'::regclass) \
                 UNION ALL SELECT 'index ' || i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = {oid} \
                 AND pg_get_indexdef(i.indexrelid) LIKE '%\\\\x%' \
                 UNION ALL SELECT 'publication ' || p.pubname FROM pg_publication_tables p \
                 WHERE (p.schemaname, p.tablename) = ({}, {}) LIMIT 1",
                super::place::literal(&table.schema),
                super::place::literal(&table.table),
            );
            let found = sql.texts(&question).await?.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
            if let Some(what) = found {
                return Err(Refusal::new(
                    "55000",
                    format!("{what} depends on {}, whose cells are exchanged", place.protected.id),
                )
                .hint("Drop it, and make it anew through the gateway when the rotation is over."));
            }
        }
        Ok(())
    }

    fn note(&self, state: &'static str, protected: &Protected, cells: u64) -> Result<u64, Refusal> {
        self.worker.note(state, Some(self.open), self.database, protected, (self.open.to, cells))
    }

    async fn ciphers(&self, protected: &Protected) -> Result<(ColumnCipher, ColumnCipher), Refusal> {
        let worker = self.worker;
        Ok((worker.cipher(protected, self.open.from).await?, worker.cipher(protected, self.open.to).await?))
    }

    /// Fills the column's map until hardly anything is missing in it.
    async fn prepare(&self, sql: &mut Sql, place: &Place, tell: Tell<'_>) -> Result<(), Refusal> {
        let (map, id) = (map(place), &place.protected.id);
        sql.run(&format!("CREATE UNLOGGED TABLE IF NOT EXISTS {map} (key bytea PRIMARY KEY, new bytea NOT NULL)"))
            .await?;
        let all = sql.number(&format!("SELECT count({}) FROM ONLY {}", place.column, place.table)).await?;
        tell(Step::Begun(id, all));
        self.note("begun", &place.protected, all)?;
        let mut pace = Pace::new(self.pace);
        let mut made = 0;
        loop {
            let mut told = |cells| {
                made += cells;
                tell(Step::Moved(id, made));
            };
            if self.fill(sql, place, &mut pace, &mut told).await? <= FEW {
                return Ok(());
            }
        }
    }

    /// One pass over the table; how many new cells it made.
    async fn fill(
        &self,
        sql: &mut Sql,
        place: &Place,
        pace: &mut Pace,
        told: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, Refusal> {
        let Place { protected, table, column, .. } = place;
        let map = map(place);
        let insert = format!(
            "INSERT INTO {map} SELECT sha256(given.old), given.new FROM unnest($1, $2) AS given (old, new) \
             ON CONFLICT (key) DO NOTHING"
        );
        let (mut last, mut rows, mut all) = (Tid::default(), FIRST_ROWS, 0);
        let (mut nonces, mut plain) = (Nonces::new(), Zeroizing::new(Vec::new()));
        loop {
            let select = format!(
                "SELECT t.ctid, t.{column} FROM ONLY {table} t WHERE t.ctid > $1 AND t.{column} IS NOT NULL \
                 AND NOT EXISTS (SELECT FROM {map} m WHERE m.key = sha256(t.{column})) LIMIT {rows}"
            );
            let found = sql.binary(&select, &[tid(&last)]).await?;
            if found.is_empty() {
                return Ok(all);
            }
            let ciphers = self.ciphers(protected).await?;
            let (mut old, mut new, mut bytes) = (Vec::new(), Vec::new(), 0);
            for row in found {
                let (at, cell) = read(row)?;
                let fresh = reseal(protected, (&ciphers.0, &ciphers.1), &cell, &mut nonces, &mut plain)
                    .map_err(|why| does_not_open(protected, &at, &why))?;
                last = last.max(at);
                bytes += cell.len() + fresh.len();
                old.push(cell);
                new.push(fresh);
            }
            let made = sql.run_with(&insert, &pairs(&old, &new)).await?;
            self.note("moved", protected, made)?;
            all += made;
            told(made);
            rows = if bytes > BATCH_BYTES { (rows / 2).max(1) } else { (rows * 2).min(MAX_ROWS) };
            pace.after(made).await;
        }
    }

    /// Tries until no session of a gateway and no transaction stands in the way.
    async fn exchange_when_alone(&self, sql: &mut Sql, tell: Tell<'_>) -> Result<(), Refusal> {
        let since = Instant::now();
        loop {
            sql.run("BEGIN").await?;
            match self.exchange(sql).await {
                Ok(took) => {
                    sql.run("COMMIT").await?;
                    tell(Step::Exchanged(took));
                    return Ok(());
                }
                Err(refusal) if [LOCK_NOT_AVAILABLE, DEADLOCK].contains(&refusal.sqlstate) => {
                    sql.run("ROLLBACK").await?;
                    self.name_holders(sql, since.elapsed(), tell).await?;
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// A silent session whose gateway works has given its share back long before two seconds are over.
    async fn name_holders(&self, sql: &mut Sql, waited: Duration, tell: Tell<'_>) -> Result<(), Refusal> {
        let end = self.terminate_after.is_some_and(|limit| waited >= limit);
        let ended = if end { ", CASE WHEN pg_terminate_backend(a.pid) THEN ': ended' ELSE '' END" } else { "" };
        let question = format!(
            "SELECT concat('session ', a.pid, ' of ', a.usename, ', ', coalesce(a.state, 'of another role'), ' since ', a.state_change{ended}) \
             FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND EXISTS \
             (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.locktype = 'advisory' \
             AND (l.classid::bigint, l.objid::bigint) = ({EXCHANGE_LOCK})) AND (a.state IS DISTINCT FROM 'idle' \
             OR a.state_change < clock_timestamp() - interval '2 seconds') ORDER BY a.state_change LIMIT 10"
        );
        for row in sql.texts(&question).await? {
            if let Some(Some(holder)) = row.first() {
                tell(Step::Waits(holder));
            }
        }
        Ok(())
    }

    /// In a transaction; how long the tables were locked.
    async fn exchange(&self, sql: &mut Sql) -> Result<Duration, Refusal> {
        sql.run(LOCK_TIMEOUT).await?;
        sql.run(&format!("SELECT pg_advisory_xact_lock({EXCHANGE_LOCK})")).await?;
        let begun = Instant::now();
        // No gateway can make or drop a column now.
        let places = find_all(sql, self.columns).await?;
        if places.is_empty() {
            return Ok(begun.elapsed());
        }
        let mut tables: Vec<&str> = places.iter().map(|place| place.table.as_str()).collect();
        tables.sort_unstable();
        tables.dedup();
        sql.run(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "))).await?;
        sql.run("SET LOCAL lock_timeout = 0").await?;
        self.nothing_depends(sql, &places).await?;
        for place in &places {
            let map = map(place);
            sql.run(&format!("CREATE UNLOGGED TABLE IF NOT EXISTS {map} (key bytea PRIMARY KEY, new bytea NOT NULL)"))
                .await?;
            // Nobody adds any more, so that one pass sees all.
            self.fill(sql, place, &mut Pace::new(None), &mut |_| ()).await?;
        }
        let constraints = self.constraints(sql, &places).await?;
        for Constraint { table, name, .. } in &constraints {
            sql.run(&format!("ALTER TABLE {table} DROP CONSTRAINT {name}")).await?;
        }
        for table in &tables {
            self.write_anew(sql, table, &places).await?;
        }
        for Constraint { table, name, definition } in &constraints {
            let not_valid = if definition.ends_with("NOT VALID") { "" } else { " NOT VALID" };
            sql.run(&format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}{not_valid}")).await?;
        }
        Ok(begun.elapsed())
    }

    /// One table: all its columns of the domain at once.
    async fn write_anew(&self, sql: &mut Sql, table: &str, places: &[Place]) -> Result<(), Refusal> {
        let own: Vec<&Place> = places.iter().filter(|place| place.table == table).collect();
        let (mut types, mut checks, mut drops) = (Vec::new(), Vec::new(), Vec::new());
        for place in &own {
            let (map, column, id) = (map(place), &place.column, &place.protected.id);
            let function = new_cell_function(place);
            sql.run(&format!(
                "CREATE OR REPLACE FUNCTION {function}(cell bytea) RETURNS bytea LANGUAGE plpgsql STABLE STRICT \
                 SET search_path = pg_catalog AS 'DECLARE made bytea; BEGIN SELECT m.new INTO STRICT made FROM {map} m \
                 WHERE m.key = sha256($1); RETURN made; END'"
            ))
            .await?;
            types.push(format!("ALTER COLUMN {column} TYPE bytea USING {function}({column})"));
            let check = quoted(&cell_check_name(&id.column));
            drops.push(format!("DROP CONSTRAINT IF EXISTS {check}"));
            let condition = cell_condition(&place.protected, place.declared, Some(self.open.to));
            checks.push(format!("ADD CONSTRAINT {check} CHECK ({condition}) NOT VALID"));
            if let Some(default) = self.new_default(place).await? {
                drops.push(format!("ALTER COLUMN {column} DROP DEFAULT"));
                checks.push(format!("ALTER COLUMN {column} SET DEFAULT {default}"));
            }
        }
        for commands in [drops, types, checks] {
            sql.run(&format!("ALTER TABLE {table} {}", commands.join(", "))).await?;
        }
        for place in own {
            sql.run(&format!("DROP FUNCTION {}(bytea)", new_cell_function(place))).await?;
            sql.run(&format!("DROP TABLE {}", map(place))).await?;
        }
        Ok(())
    }

    async fn new_default(&self, place: &Place) -> Result<Option<String>, Refusal> {
        let Some(cell) = place.default_cell()? else { return Ok(None) };
        let new = self.new_constant(std::slice::from_ref(&place), &cell).await?;
        new.map(Some).ok_or_else(|| {
            Refusal::new("XX001", format!("the default of {} does not open", place.protected.id))
                .hint("SET DEFAULT anew through the gateway.")
        })
    }

    /// A cell in a definition, as an expression, in the new epoch; `None` where it is of none of these columns.
    async fn new_constant(&self, places: &[&Place], cell: &[u8]) -> Result<Option<String>, Refusal> {
        let mut plain = Zeroizing::new(Vec::new());
        for place in places {
            let (old, new) = self.ciphers(&place.protected).await?;
            if let Ok(fresh) = reseal(&place.protected, (&old, &new), cell, &mut Nonces::new(), &mut plain) {
                let mut digits = Vec::new();
                crate::session::hex(&fresh, &mut digits);
                return Ok(Some(format!("'\\x{}'::bytea", String::from_utf8_lossy(&digits))));
            }
        }
        Ok(None)
    }

    /// Foreign keys between the columns, and CHECKs that hold cells, as they will be.
    async fn constraints(&self, sql: &mut Sql, places: &[Place]) -> Result<Vec<Constraint>, Refusal> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let pairs = place_list(places);
        let rows = sql
            .texts(&format!(
                "SELECT k.conrelid::regclass::text, quote_ident(k.conname), pg_get_constraintdef(k.oid), k.conrelid \
                 FROM pg_constraint k WHERE EXISTS (SELECT FROM (VALUES {pairs}) AS p (oid, number) \
                 WHERE k.contype = 'f' AND (p.oid = k.conrelid AND p.number = ANY (k.conkey) \
                 OR p.oid = k.confrelid AND p.number = ANY (k.confkey)) \
                 OR k.contype = 'c' AND p.oid = k.conrelid AND p.number = ANY (k.conkey) \
                 AND k.conname !~ '_is_cell$') ORDER BY k.contype, k.oid"
            ))
            .await?;
        let mut found = Vec::new();
        for row in rows {
            let [Some(table), Some(name), Some(definition), Some(oid)] =
                <[Option<String>; 4]>::try_from(row).map_err(|_| Refusal::protocol("a row of another width"))?
            else {
                continue;
            };
            let own: Vec<&Place> = places.iter().filter(|place| place.oid.to_string() == oid).collect();
            let definition = self.resealed(&own, &table, &name, &definition).await?;
            found.push(Constraint { table, name, definition });
        }
        Ok(found)
    }

    /// A definition with each old cell in it replaced.
    async fn resealed(&self, own: &[&Place], table: &str, name: &str, definition: &str) -> Result<String, Refusal> {
        const BEGIN: &str = "'\\x";
        const END: &str = "'::bytea";
        let mut out = String::new();
        let mut rest = definition;
        while let Some((before, after)) = rest.split_once(BEGIN) {
            out.push_str(before);
            let (digits, after) = after.split_once(END).unwrap_or((after, ""));
            let mut cell = Vec::new();
            let read = crate::session::unhex(format!("\\x{digits}").as_bytes(), &mut cell);
            let old = read.is_ok() && epoch_of(&cell) == Ok(self.open.from);
            let new = if old { self.new_constant(own, &cell).await? } else { None };
            let Some(new) = new else {
                return Err(Refusal::new(
                    "55000",
                    format!("constraint {name} of {table} holds bytes that are no cell of its columns"),
                )
                .hint("Drop it, and make it anew through the gateway when the rotation is over."));
            };
            out.push_str(&new);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Checks what was added unchecked, and opens every cell.
    async fn finish(&self, sql: &mut Sql, tell: Tell<'_>) -> Result<u64, Refusal> {
        let places = find_all(sql, self.columns).await?;
        if places.is_empty() {
            return Ok(0);
        }
        let pairs = place_list(&places);
        let waiting = sql
            .texts(&format!(
                "SELECT k.conrelid::regclass::text, quote_ident(k.conname) FROM pg_constraint k WHERE NOT k.convalidated \
                 AND k.contype IN ('c', 'f') AND EXISTS (SELECT FROM (VALUES {pairs}) AS p (oid, number) \
                 WHERE p.oid = k.conrelid AND p.number = ANY (k.conkey))"
            ))
            .await?;
        for row in waiting {
            if let [Some(table), Some(name)] = row.as_slice() {
                sql.run(&format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}")).await?;
            }
        }
        let mut cells = 0;
        for place in &places {
            // What PostgreSQL knew of the old cells it has forgotten.
            sql.run(&format!("ANALYZE {} ({})", place.table, place.column)).await?;
            tell(Step::Closed(&place.protected.id));
            let (_, new) = self.ciphers(&place.protected).await?;
            let counted = open_all(sql, place, std::slice::from_ref(&new)).await?;
            let here = counted.iter().map(|(_, cells)| cells).sum();
            let entry = self.note("verified", &place.protected, here)?;
            self.worker.trace.durable(entry).await?;
            tell(Step::Verified(&place.protected.id, here));
            cells += here;
        }
        Ok(cells)
    }
}

/// Gives the new cell of an old one, while the table is written anew.
fn new_cell_function(place: &Place) -> String {
    let name = format!("drieslot_new_{}_{}", place.oid, place.number);
    format!("{}.{}", quoted(&place.protected.id.table.schema), quoted(&name))
}

fn pairs(old: &[Bytes], new: &[Vec<u8>]) -> [Parameter; 2] {
    let mut made = [(); 2].map(|()| Parameter { oid: BYTEA_ARRAY_OID, value: Vec::new() });
    let [first, second] = &mut made;
    put_array(BYTEA_OID, old.iter().map(|cell| Some(&**cell)), &mut first.value);
    put_array(BYTEA_OID, new.iter().map(|cell| Some(cell.as_slice())), &mut second.value);
    made
}
