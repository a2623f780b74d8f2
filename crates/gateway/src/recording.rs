//! The recording of an application's statements, without their values, from which protections can be suggested.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use drieslot_sql as sql;

use crate::GatewayError;

/// Shapes after which a recording is full: an application has hundreds or thousands.
const MAX_SHAPES: usize = 100_000;

/// A file with one statement a line, each shape once. What can't be written is missing from it, and nothing else.
pub(crate) struct Recording {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: File,
    seen: HashSet<String>,
    failed: bool,
}

impl Recording {
    /// Opens the file, or goes on with it.
    pub(crate) fn open(path: &Path) -> Result<Self, GatewayError> {
        let failed = |error| GatewayError::File(path.to_owned(), error);
        let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path).map_err(failed)?;
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let seen = text.lines().map(|line| line.trim_end_matches(';').to_owned()).collect();
        tracing::info!(recording = %path.display(), "statements are recorded without their values");
        Ok(Self { path: path.to_owned(), state: Mutex::new(State { file, seen, failed: false }) })
    }

    /// Notes the statements of a text, whether or not they are allowed.
    pub(crate) fn note(&self, text: &str) {
        for shape in sql::shapes(text).unwrap_or_default() {
            let sql::Shape::Query { text, .. } = shape else { continue };
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.failed || state.seen.len() >= MAX_SHAPES || state.seen.contains(&text) {
                continue;
            }
            if let Err(error) = state.file.write_all(format!("{text};\n").as_bytes()) {
                tracing::error!(%error, recording = %self.path.display(), "the recording cannot be written and ends here");
                state.failed = true;
            }
            state.seen.insert(text);
        }
    }
}
