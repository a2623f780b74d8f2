//! The checker: after a test every journal must verify, the register must fold, and no planted value may be anywhere
//! at the processor, in whatever form.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use drieslot_gateway::rotation::JOURNAL_SUFFIX;
use drieslot_journal::Reader;

use super::processes::descendants;
use super::psql::{Said, run};
use super::python::python;
use super::{PARTS, Trial, postgres_bin};

/// A value that no other data holds, planted in protected columns.
#[derive(Clone, Debug)]
pub(crate) enum Canary {
    Text(String),
    Int8(i64),
    /// With dashes, lower case.
    Uuid(String),
    /// A timestamp without time zone: text, and microseconds since 2000.
    Timestamp(String, i64),
}

/// Planted values in all forms that a server could hold them in.
struct Needles {
    labels: Vec<String>,
    automaton: AhoCorasick,
}

/// Where a planted value was found.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) place: String,
    pub(crate) what: String,
    pub(crate) context: String,
}

impl Canary {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Text(text) | Self::Uuid(text) | Self::Timestamp(text, _) => text.clone(),
            Self::Int8(number) => number.to_string(),
        }
    }

    /// The byte strings that stand for it: as text, and as PostgreSQL keeps and sends it.
    fn bytes(&self) -> Vec<(&'static str, Vec<u8>)> {
        let mut all = vec![("text", self.name().into_bytes())];
        match self {
            Self::Text(_) => {}
            Self::Int8(number) | Self::Timestamp(_, number) => {
                all.push(("big-endian", number.to_be_bytes().to_vec()));
                all.push(("little-endian", number.to_le_bytes().to_vec()));
            }
            Self::Uuid(text) => {
                let digits: String = text.chars().filter(|c| *c != '-').collect();
                let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
                all.push(("binary", (0..32).step_by(2).map(pair).collect()));
            }
        }
        all
    }

    fn needles(&self) -> Vec<(String, Vec<u8>)> {
        let mut needles = Vec::new();
        let mut add = |label: String, bytes: &[u8]| needles.push((label, bytes.to_vec()));
        for (form, bytes) in self.bytes() {
            let label = |encoding: &str| format!("{} ({form}, {encoding})", self.name());
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            add(label("as it is"), &bytes);
            add(label("hex"), hex.as_bytes());
            add(label("HEX"), hex.to_uppercase().as_bytes());
            for shift in 0..3 {
                add(label(&format!("base64 at {shift}")), base64(&bytes, shift).as_bytes());
            }
            // How debug_print_parse shows a constant: signed decimal numbers.
            let decimal: Vec<String> = bytes.iter().map(|byte| byte.cast_signed().to_string()).collect();
            add(label("decimal bytes"), format!(" {} ", decimal.join(" ")).as_bytes());
        }
        let little: Vec<u8> = self.name().encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = self.name().encode_utf16().flat_map(u16::to_be_bytes).collect();
        add(format!("{} (UTF-16LE)", self.name()), &little);
        add(format!("{} (UTF-16BE)", self.name()), &big);
        needles
    }
}

/// The characters of base64 that depend on `bytes` alone when `shift` bytes stand before them.
fn base64(bytes: &[u8], shift: usize) -> String {
    let mut padded = vec![0; shift];
    padded.extend_from_slice(bytes);
    let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&padded);
    let whole = (shift + bytes.len()) * 8 / 6;
    encoded[(shift * 8).div_ceil(6)..whole].to_owned()
}

impl Needles {
    fn new(canaries: &[Canary]) -> Self {
        let (labels, patterns): (Vec<_>, Vec<_>) = canaries.iter().flat_map(Canary::needles).unzip();
        Self { labels, automaton: AhoCorasick::new(patterns).unwrap() }
    }

    /// Notes the first place of each.
    fn search(&self, place: &str, haystack: &[u8], findings: &mut Vec<Finding>) {
        let mut seen = BTreeSet::new();
        for found in self.automaton.find_overlapping_iter(haystack) {
            if seen.insert(found.pattern()) {
                let around = &haystack[found.start().saturating_sub(60)..(found.end() + 60).min(haystack.len())];
                let what = self.labels[found.pattern().as_usize()].clone();
                let context = String::from_utf8_lossy(around).escape_debug().to_string();
                findings.push(Finding { place: format!("{place} at byte {}", found.start()), what, context });
            }
        }
    }
}

/// Each run of white space as one space.
fn unwrapped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match (byte.is_ascii_whitespace(), out.last()) {
            (true, Some(b' ')) => {}
            (true, _) => out.push(b' '),
            (false, _) => out.push(*byte),
        }
    }
    out
}

/// Every file under `folder`; those that vanish meanwhile are PostgreSQL's own business.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// A part of a process's memory, from a line of its map.
struct Region {
    start: u64,
    size: usize,
    shared: bool,
    /// Device and inode.
    object: String,
}

impl Region {
    /// `None` where nothing can be read.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).ok());
        let rights = words.next()?;
        let object = words.skip(1).take(2).collect();
        let size = usize::try_from(end?.checked_sub(start?)?).ok()?;
        rights.starts_with('r').then_some(Self { start: start?, size, shared: rights.ends_with('s'), object })
    }
}

/// What `tools/check_entries.py` says of entries, one a line.
pub(crate) fn entries_fit(python: &Path, lines: &str) -> Said {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(python);
    run(command.arg(root.join("tools/check_entries.py")).arg(root.join("docs/journal.schema.json")), lines)
}

impl Trial {
    /// Fails the test where a journal does not verify, the register does not fold, or the processor knows a canary.
    pub(crate) fn check(&self, canaries: &[Canary]) {
        self.check_journals();
        self.check_register();
        let findings = self.scan(canaries);
        assert!(findings.is_empty(), "planted values were found: {findings:#?}");
    }

    /// Every journal verifies.
    pub(crate) fn check_journals(&self) {
        for part in PARTS {
            let journal = self.journal(part).display().to_string();
            let key = self.data().join(part).join("journal.vkey").display().to_string();
            let said = self.drieslot_ok(["journal", "verify", &journal, "--key", &key]);
            assert!(said.contains("intact"), "{part}: {said}");
        }
        self.check_entries();
    }

    /// Every entry is as `docs/journal.schema.json` says.
    fn check_entries(&self) {
        let Some(python) = python() else { return };
        let rotation = self.data().join(format!("gateway/journal{JOURNAL_SUFFIX}"));
        let folders = PARTS.iter().map(|part| self.journal(part)).chain(rotation.exists().then_some(rotation));
        for folder in folders {
            let reader = Reader::open(&folder).unwrap();
            let entries = reader.entries(reader.first(), reader.size()).unwrap();
            let lines: Vec<u8> = entries.flat_map(|entry| [entry.unwrap().1, b"\n".to_vec()].concat()).collect();
            let said = entries_fit(&python, &String::from_utf8(lines).unwrap());
            assert!(said.ok, "{}: {}{}", folder.display(), said.out, said.err);
        }
    }

    /// The register gives a state.
    pub(crate) fn check_register(&self) {
        let said = self.access();
        assert!(said.contains("mandate"), "{said}");
    }

    /// Looks for the canaries in some bytes.
    pub(crate) fn scan_bytes(place: &str, bytes: &[u8], canaries: &[Canary]) -> Vec<Finding> {
        let mut findings = Vec::new();
        Needles::new(canaries).search(place, bytes, &mut findings);
        findings
    }

    /// Looks for the canaries in every byte under the data folder, in a dump, and in what a superuser's SELECT shows.
    pub(crate) fn scan(&self, canaries: &[Canary]) -> Vec<Finding> {
        assert!(!canaries.is_empty(), "a scan for nothing finds nothing");
        let needles = Needles::new(canaries);
        let mut findings = Vec::new();
        self.superuser("postgres", "CHECKPOINT");
        let mut paths = Vec::new();
        files(&self.data(), &mut paths);
        let mut bytes = 0;
        for path in &paths {
            let Ok(content) = std::fs::read(path) else { continue };
            bytes += content.len();
            needles.search(&path.display().to_string(), &content, &mut findings);
            if path.extension().is_some_and(|extension| extension == "log") {
                // Parse trees are printed in lines of 80 characters.
                let place = format!("{} without line ends", path.display());
                needles.search(&place, &unwrapped(&content), &mut findings);
            }
        }
        assert!(bytes > 10 << 20, "only {bytes} bytes in {} files: that is no PostgreSQL cluster", paths.len());
        let program = postgres_bin().join("pg_dumpall");
        if program.exists() {
            let mut dump = Command::new(program);
            self.superuser_environment(&mut dump);
            let dumped = run(&mut dump, "");
            assert!(dumped.ok && dumped.out.contains("COPY public."), "pg_dumpall: {}", dumped.err);
            needles.search("pg_dumpall", dumped.out.as_bytes(), &mut findings);
        } else {
            eprintln!("SKIPPED: a server without its client programs; pg_dumpall was NOT run");
        }
        self.select_everything(&needles, &mut findings);
        findings
    }

    /// Looks for the canaries in the memory of a part's process and of all that it has started. `None` where this
    /// machine does not let one process read another's.
    pub(crate) fn scan_memory(&self, part: &str, canaries: &[Canary]) -> Option<Vec<Finding>> {
        let needles = Needles::new(canaries);
        let mut findings = Vec::new();
        let root = self.id_of(part);
        let mut shared = BTreeSet::new();
        for id in std::iter::once(root).chain(descendants(root).iter().map(|process| process.id)) {
            let Ok(maps) = std::fs::read_to_string(format!("/proc/{id}/maps")) else { continue };
            let memory = match File::open(format!("/proc/{id}/mem")) {
                Ok(memory) => memory,
                Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
                Err(_) => continue,
            };
            for region in maps.lines().filter_map(Region::parse) {
                if region.shared && !shared.insert(region.object.clone()) {
                    continue;
                }
                let mut content = vec![0; region.size];
                if memory.read_exact_at(&mut content, region.start).is_ok() {
                    needles.search(&format!("memory of {part}, process {id}"), &content, &mut findings);
                }
            }
        }
        Some(findings)
    }

    fn select_everything(&self, needles: &Needles, findings: &mut Vec<Finding>) {
        let databases = self.superuser("postgres", "SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1");
        for database in databases.lines() {
            for output in ["hex", "escape"] {
                let sql = format!(
                    "SET bytea_output = {output};
                     SELECT format('TABLE %I.%I', schemaname, tablename) FROM pg_tables
                     UNION ALL SELECT 'SELECT * FROM pg_stat_activity' UNION ALL SELECT 'SELECT * FROM pg_stats' \\gexec\n"
                );
                let shown = self.superuser(database, &sql);
                needles.search(&format!("SELECT * in {database}"), shown.as_bytes(), findings);
            }
        }
    }
}
