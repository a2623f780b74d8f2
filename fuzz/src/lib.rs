//! What each fuzz target does with its bytes: every decoder of what somebody else wrote. None may panic, and what one
//! accepts must hold what is said here.

#[path = "../../crates/sql/tests/common/mod.rs"]
mod fixture;

use std::sync::{Arc, LazyLock};

use drieslot_journal::{Checkpoint, Verifier, entry, proof};
use drieslot_register::entry::{Entry, SignatureEntry};
use drieslot_register::statement::Statement;
use drieslot_register::{Hex32, State};
use drieslot_schema::{Classification, ColumnId, Domain, Protected, Protection, TableId, Unlisted};
use drieslot_seal::{CellKey, ColumnCipher, DomainContext, DomainKey, FunctionSecret, Nonces};
use drieslot_sql::{Catalog, Kind};
use drieslot_wire as wire;

/// Messages of a client.
pub fn wire_frontend(data: &[u8]) {
    let _ = (wire::startup_length(data), wire::read_startup(data), wire::split_frame(data));
    let Some((tag, body)) = data.split_first() else { return };
    let _ = match tag % 5 {
        0 => wire::Parse::read(body).map(drop),
        1 => wire::Bind::read(body).map(drop),
        2 => wire::Describe::read(body).map(drop),
        3 => wire::Close::read(body).map(drop),
        _ => wire::Execute::read(body).map(drop),
    };
}

/// Messages of the processor.
pub fn wire_backend(data: &[u8]) {
    let _ = (wire::RowDescription::read(data), wire::read_oids(data), wire::error_fields(data), wire::command_tag(data));
    let Ok(mut row) = wire::DataRow::read(data) else { return };
    while row.left() > 0 {
        if row.field().is_err() {
            return;
        }
    }
    let _ = row.finish();
}

/// COPY data in text and csv, cut where the first byte says: however it is cut, the rows are the same.
pub fn copy_rows(data: &[u8]) {
    let [how, cut, data @ ..] = data else { return };
    let csv = (how & 1 == 1).then_some((b'"', if how & 2 == 2 { b'\\' } else { b'"' }));
    let dialect = wire::CopyDialect {
        delimiter: if csv.is_some() { b',' } else { b'\t' },
        null: if csv.is_some() { Vec::new() } else { b"\\N".to_vec() },
        default: None,
        csv,
        csv_end_marker: how & 4 == 4,
    };
    let whole = rows(&dialect, data, data.len().max(1));
    let pieces = rows(&dialect, data, usize::from(*cut).max(1));
    assert_eq!(whole, pieces, "the rows depend on how the data is cut");
}

/// The rows of data that comes in pieces; `None` where it is refused.
fn rows(dialect: &wire::CopyDialect, data: &[u8], piece: usize) -> Option<Vec<Vec<u8>>> {
    let mut split = wire::CopyRows::new(dialect);
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    let mut pieces = data.chunks(piece).peekable();
    loop {
        let last = pieces.peek().is_none();
        if last && buffer.is_empty() {
            return Some(found);
        }
        match split.split(&buffer, last).ok()? {
            wire::Split::Row { len, next } => {
                let row = buffer.get(..len)?.to_vec();
                let mut fields = wire::CopyFields::new(&row, dialect);
                let mut scratch = Vec::new();
                while let Ok(Some(field)) = fields.next_field() {
                    let _ = field.value(dialect, &mut scratch);
                }
                found.push(row);
                buffer.drain(..next);
            }
            wire::Split::More if last => return Some(found),
            wire::Split::More => buffer.extend_from_slice(pieces.next()?),
            // The end marker: what follows is not looked at.
            _ => return Some(found),
        }
    }
}

/// Binary COPY data.
pub fn copy_binary(data: &[u8]) {
    let mut split = wire::BinaryRows::new(3);
    let mut rest = data;
    loop {
        let next = match split.split(rest, true) {
            Ok(wire::BinarySplit::Header { next }) => next,
            Ok(wire::BinarySplit::Row { next }) => {
                let Some(row) = rest.get(..next) else { panic!("a row beyond the data") };
                let mut fields = wire::BinaryFields::new(row);
                for _ in 0..3 {
                    fields.next_field().expect("a row that was found has its fields");
                }
                next
            }
            Ok(wire::BinarySplit::Trailer | wire::BinarySplit::More) | Err(_) => return,
        };
        rest = rest.get(next..).expect("the end of what was found is in the data");
    }
}

static PLANNING: LazyLock<(Catalog, Classification, Classification)> = LazyLock::new(|| {
    (fixture::catalog(), fixture::classification(Unlisted::Plain), fixture::classification(Unlisted::Refuse))
});

/// Any text: it is planned or refused; what passes is text that parses, and what is rewritten gives such text.
pub fn plan(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (catalog, open, closed) = &*PLANNING;
    for classification in [open, closed] {
        let Ok(statements) = fixture::plan(text, catalog, classification) else { continue };
        for statement in &statements {
            let sent = match &statement.kind {
                Kind::Rewritten(rewritten) => rewritten.template.with_parameters(),
                Kind::CopyIn(copy) | Kind::CopyOut(copy) => copy.template.with_parameters(),
                Kind::Reworded(reworded, _) => reworded.clone(),
                Kind::Pass(_) => text.get(statement.source.clone()).expect("a statement's place is in the text").to_owned(),
            };
            assert!(pg_query::parse(&sent, 0).is_ok(), "what is sent does not parse: {sent}");
        }
    }
}

fn cipher(protection: Protection, ty: &str) -> ColumnCipher {
    let context = DomainContext { tenant: "t".into(), domain: Domain("d".into()), epoch: 1 };
    let share = |byte: u8| FunctionSecret::from_bytes(&[byte; 32]).unwrap().share(&context).unwrap();
    let key = DomainKey::combine(&context, &share(1), &share(2), &share(3)).unwrap();
    let id = ColumnId { table: TableId { schema: "public".into(), table: "t".into() }, column: "c".into() };
    let domain = Domain("d".into());
    let column = Protected { id, ty: ty.parse().unwrap(), protection, search: false, domain };
    ColumnCipher::new(Arc::new(CellKey::new(&key, context).unwrap()), &column).unwrap()
}

static CIPHERS: LazyLock<[ColumnCipher; 3]> = LazyLock::new(|| {
    [cipher(Protection::Sealed, "text"), cipher(Protection::Exact, "text"), cipher(Protection::Ordered, "integer")]
});

/// Bytes that the processor calls a cell: no other than those that were sealed may open.
pub fn cell(data: &[u8]) {
    let _ = drieslot_seal::epoch_of(data);
    let [which, position, change, value @ ..] = data else { return };
    let cipher = &CIPHERS[usize::from(which % 3)];
    let mut out = Vec::new();
    assert!(cipher.open(data, &mut out).is_err(), "bytes that nobody sealed open");
    let (mut sealed, mut nonces) = (Vec::new(), Nonces::new());
    if cipher.seal(value, &mut nonces, &mut sealed).is_err() {
        return;
    }
    out.clear();
    cipher.open(&sealed, &mut out).expect("what was sealed opens");
    assert_eq!(out, value);
    let at = usize::from(*position) % sealed.len();
    if *change != 0 {
        sealed[at] ^= change;
        assert!(cipher.open(&sealed, &mut out).is_err(), "a changed cell opens");
    }
}

/// What another journal shows: checkpoints, keys, entries, proofs.
pub fn journal(data: &[u8]) {
    static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::new("origin", [7; 32]).unwrap());
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(Checkpoint::open(text, &VERIFIER).is_err(), "a checkpoint that nobody signed opens");
        let _ = Verifier::parse(text);
    }
    let _ = entry::decode(data);
    let (hashes, rest) = data.as_chunks::<32>();
    let [leaf, root, path @ ..] = hashes else { return };
    let [index, size, ..] = rest else { return };
    assert!(!proof::includes(leaf, u64::from(*index), u64::from(*size), path, root) || path.is_empty());
    let _ = proof::consistent(u64::from(*index), u64::from(*size), leaf, root, path);
}

/// A statement's text: what is read is written and read again as the same.
pub fn statement(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(read) = Statement::parse(text) else { return };
    let written = read.to_text().expect("what was read can be written");
    assert_eq!(Statement::parse(&written).expect("what was written can be read"), read);
}

/// A register's state after its charter, and the charter's text.
static CHARTERED: LazyLock<(State, Hex32)> = LazyLock::new(|| {
    let documented = include_str!("../../docs/statements.md").split("```toml\n");
    let mut blocks = documented.filter_map(|part| part.split("```").next());
    let charter = blocks.find(|block| block.contains("kind = \"charter\"")).expect("a charter is documented");
    let sha256 = Hex32::sha256(charter);
    let mut state = State::new(sha256);
    let entry = Entry::Statement(charter.to_owned()).encode("2025-01-01T00:00:00Z").unwrap();
    state.apply(0, &entry).expect("the documented charter is accepted");
    (state, sha256)
});

/// An armoured SSH signature, and entries of a register.
pub fn signature(data: &[u8]) {
    let (state, statement) = &*CHARTERED;
    let mut state = state.clone();
    let _ = state.apply(1, data);
    let Ok(armored) = std::str::from_utf8(data) else { return };
    let entry = Entry::Signature(SignatureEntry { statement: *statement, armored: armored.to_owned() });
    let Ok(bytes) = entry.encode("2025-01-01T00:00:00Z") else { return };
    assert!(state.apply(1, &bytes).is_err(), "a signature that nobody made counts");
}
