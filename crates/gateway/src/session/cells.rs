//! Values to cells and back, with the session's settings.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use drieslot_register::{EpochsInUse, FIRST_EPOCH, is_moved_singly};
use drieslot_schema::{ColumnId, Domain, LogicalType, Mask, Protected, Protection};
use drieslot_seal::values::{self, DateStyle, Given, IntervalStyle, Settings, ValueError};
use drieslot_seal::{CellKey, ColumnCipher, Nonces, SealError, epoch_of, subject_of_plaintext};
use drieslot_sql::{Catalog, CellSlot, Purpose, SlotSource};
use zeroize::Zeroize;

use super::{Stall, Who};
use crate::Shared;
use crate::refusal::Refusal;

/// A column's ciphers, and the type of its values at one place of a statement.
#[derive(Clone)]
pub(super) struct Column {
    protected: Arc<Protected>,
    pub(super) ty: LogicalType,
    /// Of the epoch that new cells are sealed in.
    pub(super) cipher: Arc<ColumnCipher>,
    /// Of the other epoch, while a rotation of the domain is open.
    other: Option<Arc<ColumnCipher>>,
}

impl Column {
    pub(super) fn id(&self) -> &ColumnId {
        &self.protected.id
    }
}

/// One column's ciphers, each as long as the lease of its key.
struct Ciphers {
    protected: Arc<Protected>,
    made: Vec<(Arc<CellKey>, Arc<ColumnCipher>)>,
}

/// A value as the client gave it.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    Text(&'a [u8]),
    Binary(&'a [u8]),
}

/// How a slot's value is given.
pub(super) fn given(slot: &CellSlot, oid: u32) -> Given {
    let explicit_cast =
        matches!(slot.source, SlotSource::CastParam { .. } | SlotSource::Literal { explicit_cast: true, .. });
    Given { oid, explicit_cast, compared: slot.purpose == Purpose::Compare }
}

/// Seals and opens for one session. Ciphers live as long as the lease of their key.
pub(super) struct Cells {
    shared: Arc<Shared>,
    who: Who,
    /// Columns whose decoys this session was seen to read.
    alarmed: BTreeSet<ColumnId>,
    ciphers: HashMap<Protected, Ciphers>,
    nonces: Nonces,
    /// Session settings that values depend on.
    settings: Settings,
    /// Whether the session's TimeZone is understood.
    zone_known: bool,
    /// Whether its DateStyle is.
    dates_known: bool,
    /// Tells the database's enum types.
    catalog: Arc<Catalog>,
    standby: bool,
    plain: Vec<u8>,
}

impl Drop for Cells {
    fn drop(&mut self) {
        self.plain.zeroize();
    }
}

impl Cells {
    pub(super) fn new(shared: Arc<Shared>, who: Who) -> Self {
        Self {
            shared,
            who,
            alarmed: BTreeSet::new(),
            ciphers: HashMap::new(),
            nonces: Nonces::new(),
            settings: Settings::default(),
            zone_known: false,
            dates_known: false,
            catalog: Arc::default(),
            standby: false,
            plain: Vec::new(),
        }
    }

    pub(super) fn set_time_zone(&mut self, name: &str) {
        self.zone_known = self.settings.set_time_zone(name);
    }

    /// Whether the session's server is a standby, which follows a rotation late.
    pub(super) fn set_standby(&mut self, standby: bool) {
        self.standby = standby;
    }

    pub(super) fn set_catalog(&mut self, catalog: &Arc<Catalog>) {
        self.catalog = Arc::clone(catalog);
        self.settings.enum_labels = Arc::clone(catalog.enum_labels());
    }

    pub(super) fn set_interval_style(&mut self, name: &str) {
        // PostgreSQL 15 to 18 have no other.
        self.settings.interval_style = IntervalStyle::named(name).unwrap_or_default();
    }

    pub(super) fn set_date_style(&mut self, name: &str) {
        let style = DateStyle::named(name);
        self.dates_known = style.is_some();
        self.settings.date_style = style.unwrap_or_default();
    }

    /// The column's ciphers under keys whose lease holds now; a stall where a key must be fetched first.
    pub(super) fn column(&mut self, protected: &Protected, ty: LogicalType) -> Result<Column, Stall> {
        let epochs = self.epochs(protected)?;
        let current = self.cipher(protected, epochs.current)?;
        let other = epochs.other.map(|epoch| self.cipher(protected, epoch)).transpose()?;
        let missing = |found: &Option<_>, epoch| found.is_none().then(|| (protected.domain.clone(), epoch));
        match (self.ciphers.get(protected), current, other) {
            (Some(known), Some(cipher), None) => {
                Ok(Column { protected: Arc::clone(&known.protected), ty, cipher, other: None })
            }
            (Some(known), Some(cipher), Some(Some(other))) => {
                Ok(Column { protected: Arc::clone(&known.protected), ty, cipher, other: Some(other) })
            }
            (_, current, other) => {
                let other = other.zip(epochs.other).and_then(|(found, epoch)| missing(&found, epoch));
                self.ciphers.remove(protected);
                Err(Stall::Keys(missing(&current, epochs.current).into_iter().chain(other).collect()))
            }
        }
    }

    /// Cells that the processor compares are all of one epoch, and which one its check says.
    fn epochs(&self, protected: &Protected) -> Result<EpochsInUse, Refusal> {
        let state = self.shared.follower.state();
        let in_use = state.epochs_in_use(&protected.domain);
        if is_moved_singly(protected) {
            return Ok(in_use);
        }
        let least = self.catalog.least_epoch(&protected.id);
        match state.open_rotation(&protected.domain) {
            Some(_) if self.standby => Err(on_standby(protected)),
            Some(open) if least == Some(open.to) => Ok(EpochsInUse { current: open.to, other: Some(open.from) }),
            Some(open) => Ok(EpochsInUse { current: open.from, other: Some(open.to) }),
            None if least.unwrap_or(FIRST_EPOCH) == in_use.current => Ok(in_use),
            None if self.standby => Err(on_standby(protected)),
            None => Err(Refusal::new(
                "58000",
                format!("the cells of column {} are not in epoch {}", protected.id, in_use.current),
            )
            .detail(
                "The processor has restored an older table, or this gateway's register does not show a rotation yet.",
            )
            .hint("See that the gateway reaches the register and ask again; if it stays so, tell the key officer.")),
        }
    }

    /// `None` where the key is not held.
    fn cipher(&mut self, protected: &Protected, epoch: u16) -> Result<Option<Arc<ColumnCipher>>, Refusal> {
        let Some(key) = self.shared.keyring.cached(&protected.domain, epoch) else { return Ok(None) };
        if !self.ciphers.contains_key(protected) {
            let fresh = Ciphers { protected: Arc::new(protected.clone()), made: Vec::new() };
            self.ciphers.insert(protected.clone(), fresh);
        }
        let known = self.ciphers.get_mut(protected).ok_or_else(|| Refusal::internal("ciphers that were just made"))?;
        if let Some((_, cipher)) = known.made.iter().find(|(made_of, _)| Arc::ptr_eq(made_of, &key)) {
            return Ok(Some(Arc::clone(cipher)));
        }
        let made = ColumnCipher::new(Arc::clone(&key), protected)
            .map_err(|error| Refusal::internal(format!("column {}: {error}", protected.id)))?;
        let made = Arc::new(made);
        known.made.retain(|(_, cipher)| cipher.epoch() != epoch);
        known.made.push((key, Arc::clone(&made)));
        Ok(Some(made))
    }

    /// The cipher that opens a cell, by the epoch in its header, where it is not that of new cells.
    fn other_opener(&mut self, column: &Column, cell: &[u8]) -> Result<Option<Arc<ColumnCipher>>, Refusal> {
        let Some(epoch) = epoch_of(cell).ok().filter(|epoch| *epoch != column.cipher.epoch()) else { return Ok(None) };
        if let Some(other) = column.other.as_ref().filter(|other| other.epoch() == epoch) {
            return Ok(Some(Arc::clone(other)));
        }
        // A rotation may have been opened since the statement began.
        let late = self.cipher(&column.protected, epoch)?;
        late.map_or_else(|| Err(unused_epoch(column, epoch)), |late| Ok(Some(late)))
    }

    /// Several at once: all missing keys are asked for together.
    pub(super) fn columns<'p>(
        &mut self,
        wanted: impl Iterator<Item = Option<(&'p Protected, LogicalType)>>,
    ) -> Result<Vec<Option<Column>>, Stall> {
        let mut found = Vec::new();
        let mut missing: Vec<(Domain, u16)> = Vec::new();
        for wanted in wanted {
            match wanted.map(|(protected, ty)| self.column(protected, ty)).transpose() {
                Ok(column) => found.push(column),
                Err(Stall::Keys(keys)) => missing.extend(keys),
                Err(other) => return Err(other),
            }
        }
        missing.sort();
        missing.dedup();
        if missing.is_empty() { Ok(found) } else { Err(Stall::Keys(missing)) }
    }

    fn settings_for(&self, ty: LogicalType) -> Result<&Settings, Refusal> {
        let ty = ty.element().unwrap_or(ty);
        let dated = matches!(ty, LogicalType::Date | LogicalType::Timestamp | LogicalType::Timestamptz);
        if dated && !self.dates_known {
            return Err(Refusal::new("0A000", "the session's DateStyle is not known to the gateway")
                .hint("SET datestyle = ISO, or use the binary format."));
        }
        if !self.zone_known {
            return Err(Refusal::new("0A000", "the session's TimeZone is not known to the gateway")
                .hint("SET TimeZone to a name of the IANA time zone database, such as 'Europe/Brussels'."));
        }
        Ok(&self.settings)
    }

    /// A number that the column would have to round equals none of its values, but its rounded form may: such a
    /// comparison is refused.
    fn check_scale(&self, id: &ColumnId, ty: LogicalType, given: Given, value: Input<'_>) -> Result<(), Refusal> {
        let LogicalType::Numeric(Some((_, scale))) = ty else { return Ok(()) };
        if !given.compared || given.explicit_cast {
            return Ok(());
        }
        let rounded = match value {
            Input::Text(text) => rounds(text, usize::from(scale)),
            Input::Binary(bytes) => {
                let numeric = LogicalType::Numeric(None);
                let (mut plain, mut text) = (Vec::new(), Vec::new());
                values::encode_binary(numeric, given.oid, bytes, &mut plain)
                    .map_err(|error| value_error(id, &error))?;
                let settings = self.settings_for(numeric)?;
                let decoded = values::decode_text(numeric, &plain, settings, &mut text);
                plain.zeroize();
                decoded.map_err(|error| value_error(id, &error))?;
                let rounded = rounds(&text, usize::from(scale));
                text.zeroize();
                rounded
            }
        };
        if !rounded {
            return Ok(());
        }
        Err(Refusal::new("0A000", "a number with more decimals than the protected column cannot be compared with it")
            .detail(format!("Column {id} has {scale} decimals."))
            .hint("Round the value before comparing."))
    }

    /// The binary form of an enum is its text, and its type is known by the database's own number.
    fn as_label<'a>(&self, ty: LogicalType, given: Given, value: Input<'a>) -> (Given, Input<'a>) {
        if !matches!(ty, LogicalType::Enum(_)) {
            return (given, value);
        }
        let own = given.oid == self.catalog.oid_of(ty);
        let (Input::Text(text) | Input::Binary(text)) = value;
        (Given { oid: if own { 0 } else { given.oid }, ..given }, Input::Text(text))
    }

    /// A value becomes a cell, appended to `out`.
    pub(super) fn seal(
        &mut self,
        column: &Column,
        given: Given,
        value: Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut plain = std::mem::take(&mut self.plain);
        let encoded = self.encode(column.id(), column.ty, column.cipher.is_compared(), (given, value), &mut plain);
        self.finish_seal(column, plain, encoded, out)
    }

    /// Whether a literal could become a cell; needs no key.
    pub(super) fn check(
        &mut self,
        protected: &Protected,
        ty: LogicalType,
        given: Given,
        text: &str,
    ) -> Result<(), Refusal> {
        let mut plain = std::mem::take(&mut self.plain);
        let compared = matches!(protected.protection, Protection::Exact | Protection::Ordered);
        let encoded = self.encode(&protected.id, ty, compared, (given, Input::Text(text.as_bytes())), &mut plain);
        plain.zeroize();
        self.plain = plain;
        encoded
    }

    /// The bytes that are sealed, appended to `plain`.
    fn encode(
        &self,
        id: &ColumnId,
        ty: LogicalType,
        compared: bool,
        (given, value): (Given, Input<'_>),
        plain: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        self.check_scale(id, ty, given, value)?;
        let (given, value) = self.as_label(ty, given, value);
        let encoded = match value {
            Input::Text(text) => {
                let settings = self.settings_for(ty)?;
                let text = std::str::from_utf8(text)
                    .map_err(|_| Refusal::new("22021", "invalid byte sequence for encoding \"UTF8\""))?;
                values::encode_text_as(ty, given, text, settings, plain)
            }
            Input::Binary(bytes) => values::encode_binary_as(ty, given, bytes, plain),
        };
        let checked = encoded.and_then(|()| if compared { values::check_exact(ty, plain) } else { Ok(()) });
        checked.map_err(|error| value_error(id, &error))
    }

    /// A cell becomes another cell of the same value, appended to `out`.
    pub(super) fn reseal(&mut self, column: &Column, cell: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let opened = self.other_opener(column, cell).and_then(|other| {
            let opener = other.as_ref().unwrap_or(&column.cipher);
            opener.open(cell, &mut plain).map_err(|error| unopened(column, &error))
        });
        self.finish_seal(column, plain, opened, out)
    }

    fn finish_seal(
        &mut self,
        column: &Column,
        mut plain: Vec<u8>,
        encoded: Result<(), Refusal>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let sealed = encoded.and_then(|()| {
            column.cipher.seal(&plain, &mut self.nonces, out).map_err(|error| {
                Refusal::new("54000", format!("a value for column {} cannot be sealed: {error}", column.id()))
            })
        });
        plain.clear();
        self.plain = plain;
        sealed
    }

    /// Raises the alarm where the value just opened is a decoy.
    fn watch_decoys(&mut self, column: &Column) -> Result<(), Refusal> {
        let Some(decoy) = self.shared.decoys.of(column.id()) else { return Ok(()) };
        let mut settings = Settings::default();
        settings.enum_labels = Arc::clone(&self.settings.enum_labels);
        let mut shown = Vec::new();
        let decoded = values::decode_text(column.ty, &self.plain, &settings, &mut shown);
        let is_decoy = decoded.is_ok() && decoy.is(&shown);
        shown.zeroize();
        if is_decoy && !self.alarmed.contains(column.id()) {
            self.shared.decoys.raise(&decoy, &self.who, &self.shared.trace)?;
            self.alarmed.insert(column.id().clone());
        }
        Ok(())
    }

    /// Whom a cell's value names, appended to `out`.
    pub(super) fn subject(&mut self, column: &Column, cell: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.plain.clear();
        let other = self.other_opener(column, cell)?;
        let opener = other.as_ref().unwrap_or(&column.cipher);
        opener.open(cell, &mut self.plain).map_err(|error| unopened(column, &error))?;
        let named = subject_of_plaintext(column.ty, &self.plain, out);
        self.plain.clear();
        named.map_err(|error| value_error(column.id(), &error))
    }

    /// A cell becomes a value in `format` (0 text, 1 binary), appended to `out`.
    pub(super) fn open(
        &mut self,
        column: &Column,
        mask: Option<(Mask, &str)>,
        cell: &[u8],
        format: i16,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        self.plain.clear();
        let other = self.other_opener(column, cell)?;
        let opener = other.as_ref().unwrap_or(&column.cipher);
        opener.open(cell, &mut self.plain).map_err(|error| unopened(column, &error))?;
        self.watch_decoys(column)?;
        if let Some((Mask::Token, purpose)) = mask {
            // By the key of new cells, so that it is the same for cells of both epochs while a rotation is open.
            let as_uuid = column.ty == LogicalType::Uuid;
            let pseudonym = column.cipher.pseudonym(column.id(), purpose, &self.plain, as_uuid);
            self.plain.zeroize();
            self.plain.extend_from_slice(&pseudonym.map_err(|error| unopened(column, &error))?);
        } else if let Some((mask, _)) = mask {
            values::mask(mask, column.ty, &mut self.plain).map_err(|error| value_error(column.id(), &error))?;
        }
        let decoded = if format == 1 {
            values::decode_binary(column.ty, &self.plain, out)
        } else {
            let settings = self.settings_for(column.ty)?;
            values::decode_text(column.ty, &self.plain, settings, out)
        };
        self.plain.clear();
        decoded.map_err(|error| value_error(column.id(), &error))
    }
}

fn unopened(column: &Column, error: &SealError) -> Refusal {
    tracing::error!(column = %column.id(), %error, "a cell does not open");
    Refusal::new("XX001", format!("a value of column {} was altered or does not belong there", column.id()))
        .detail(error.to_string())
        .hint("The processor has changed, moved or replaced it. Tell the key officer and restore the row.")
}

fn on_standby(protected: &Protected) -> Refusal {
    let (id, domain) = (&protected.id, &protected.domain);
    Refusal::new("0A000", format!("column {id} cannot be used on a standby now"))
        .detail(format!("The key of domain `{domain}` is being rotated, or the standby has not replayed that yet."))
        .hint("Ask the primary, or wait until the rotation is over.")
}

fn unused_epoch(column: &Column, epoch: u16) -> Refusal {
    let (id, newest) = (column.id(), column.cipher.epoch());
    tracing::error!(column = %id, epoch, newest, "a cell of an epoch that is not in use");
    let refusal = Refusal::new("XX001", format!("a value of column {id} is sealed in epoch {epoch}, which has no key"));
    match epoch < newest {
        true => refusal.detail(format!("Epoch {epoch} is retired; new values are sealed in epoch {newest}.")).hint(
            "The processor has put back an old value, or an old backup. Tell the key officer and restore the row.",
        ),
        false => refusal
            .detail(format!("New values are sealed in epoch {newest}."))
            .hint("See that the gateway reaches the register, and ask again; if it stays so, tell the key officer."),
    }
}

fn value_error(id: &ColumnId, error: &ValueError) -> Refusal {
    let place = format!("Column {id}.");
    let detail = error.detail.as_ref().map_or(place.clone(), |detail| format!("{detail} {place}"));
    let refusal = Refusal::new(error.sqlstate, error.message.clone()).detail(detail);
    match error.hint {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }
}

/// Whether a decimal number has digits other than zero beyond `scale`. An exponent counts as yes.
fn rounds(text: &[u8], scale: usize) -> bool {
    let text = text.trim_ascii();
    if text.iter().any(|byte| matches!(byte, b'e' | b'E')) && text.iter().any(u8::is_ascii_digit) {
        return true;
    }
    let Some(point) = text.iter().position(|byte| *byte == b'.') else { return false };
    text.iter().skip(point + 1 + scale).any(|byte| *byte != b'0')
}

/// Reads `bytea` in hex text form (`\x…`), appending to `out`.
pub(crate) fn unhex(text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let bad = || Refusal::internal("the processor answered a protected column with something that is not a cell");
    let digits = text.strip_prefix(b"\\x").ok_or_else(bad)?;
    let (pairs, []) = digits.as_chunks::<2>() else {
        return Err(bad());
    };
    out.reserve(pairs.len());
    let mut wrong = 0;
    out.extend(pairs.iter().map(|[high, low]| {
        let value = |digit: u8| NIBBLES.get(usize::from(digit)).copied().unwrap_or(u8::MAX);
        let (high, low) = (value(*high), value(*low));
        wrong |= high | low;
        (high << 4) | (low & 15)
    }));
    if wrong > 15 { Err(bad()) } else { Ok(()) }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The two digits of each byte.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated by the compiler")]
const HEX: [[u8; 2]; 256] = {
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    table
};

/// The value of each digit, more than 15 for what is none.
#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated by the compiler")]
const NIBBLES: [u8; 256] = {
    let mut table = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        table[DIGITS[value] as usize] = value as u8;
        table[DIGITS[value].to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    table
};

/// Writes `bytes` as hex digits, appending to `out`.
pub(crate) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.extend_from_slice(HEX.get(usize::from(*byte)).unwrap_or(b"00"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_noticed() {
        for text in ["1.005", "1e2", "-0.001"] {
            assert!(rounds(text.as_bytes(), 2), "{text}");
        }
        for text in ["1", "1.00", "1.10000", "-2.55 ", "NaN", ".5"] {
            assert!(!rounds(text.as_bytes(), 2), "{text}");
        }
    }

    #[test]
    fn hex_round_trips_and_anything_else_is_refused() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut text = b"\\x".to_vec();
        hex(&bytes, &mut text);
        let mut back = Vec::new();
        unhex(&text, &mut back).unwrap();
        assert_eq!(back, bytes);
        for text in [&b""[..], b"abc", b"\\x1", b"\\xzz", b"Jan"] {
            assert!(unhex(text, &mut Vec::new()).is_err());
        }
    }
}
