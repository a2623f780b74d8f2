//! Decoys: made-up values among the real ones that nobody has a reason to read. Whoever does raises an alarm.
//!
//! To the processor and in a backup they are cells like all others: what makes them decoys stands at the gateway alone.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use drieslot_schema::{ColumnId, TableId};

use crate::GatewayError;
use crate::config::{self, DecoyConfig, OnRead};
use crate::refusal::Refusal;
use crate::session::Who;
use crate::trace::{Alarm, Trace};

/// All decoys, and what became of them.
#[derive(Default)]
pub(crate) struct Decoys {
    by_column: BTreeMap<ColumnId, Arc<Decoy>>,
    stopped: AtomicBool,
    alarms: AtomicU64,
}

/// Those of one column.
pub(crate) struct Decoy {
    column: ColumnId,
    /// As PostgreSQL shows them under DateStyle ISO.
    values: HashSet<Vec<u8>>,
    on_read: OnRead,
}

impl Decoys {
    /// Reads the files that the configuration names.
    pub(crate) fn open(configured: &[DecoyConfig]) -> Result<Self, GatewayError> {
        let mut by_column = BTreeMap::new();
        for one in configured {
            let wrong = |why: &str| GatewayError::Config(format!("decoys of `{}`: {why}", one.column));
            let [schema, table, name] = one.column.split('.').collect::<Vec<_>>()[..] else {
                return Err(wrong("name the column as schema.table.column"));
            };
            let table = TableId { schema: schema.to_owned(), table: table.to_owned() };
            let column = ColumnId { table, column: name.to_owned() };
            let values = read(&one.values)?;
            if values.is_empty() {
                return Err(wrong("its file has no value"));
            }
            let decoy = Decoy { column: column.clone(), values, on_read: one.on_read };
            if by_column.insert(column, Arc::new(decoy)).is_some() {
                return Err(wrong("it is listed twice"));
            }
        }
        Ok(Self { by_column, ..Self::default() })
    }

    pub(crate) fn of(&self, column: &ColumnId) -> Option<Arc<Decoy>> {
        self.by_column.get(column).cloned()
    }

    /// Alarms since the start.
    pub(crate) fn alarms(&self) -> u64 {
        self.alarms.load(Ordering::Relaxed)
    }

    /// # Errors
    /// Where an alarm has stopped access.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self.stopped.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(Refusal::new("42501", "access to protected data has been stopped by an alarm")
                .hint("The gateway's administrator finds the alarm in its journal, and restarts it when all is well.")),
        }
    }

    /// Somebody is about to be shown a decoy.
    ///
    /// # Errors
    /// Where that stops access.
    pub(crate) fn raise(&self, decoy: &Decoy, who: &Who, trace: &Trace) -> Result<(), Refusal> {
        let stops = decoy.on_read == OnRead::Stop;
        self.alarms.fetch_add(1, Ordering::Relaxed);
        tracing::error!(principal = %who.principal, session = %who.session, column = %decoy.column, stops, "a decoy is read");
        let alarm = Alarm {
            session: &who.session,
            principal: &who.principal,
            client: &who.client,
            database: &who.database,
            column: &decoy.column,
            stops,
        };
        trace.append("alarm", &alarm)?;
        self.stopped.fetch_or(stops, Ordering::AcqRel);
        self.check()
    }
}

impl Decoy {
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        self.values.contains(shown)
    }
}

/// A value a line. Who can read the file knows what not to touch.
fn read(path: &Path) -> Result<HashSet<Vec<u8>>, GatewayError> {
    let text = config::read(path)?;
    let metadata = std::fs::metadata(path).map_err(|error| GatewayError::File(path.to_owned(), error))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        let why = format!("{}: others may read it, and would know what not to touch: chmod 600", path.display());
        return Err(GatewayError::Config(why));
    }
    Ok(text.lines().filter(|line| !line.is_empty()).map(|line| line.as_bytes().to_vec()).collect())
}
