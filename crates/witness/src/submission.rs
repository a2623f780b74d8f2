//! The body of `add-checkpoint`: how much the witness knows already, the proof that this grew into the checkpoint, and the
//! checkpoint.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use drieslot_journal::hash::Hash;

/// Most lines of a proof.
pub const MAX_PROOF_LINES: usize = 63;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission<'a> {
    /// Size of the tree that the witness cosigned last.
    pub old: u64,
    /// RFC 6962 section 2.1.2: from that size to the checkpoint's.
    pub proof: Vec<Hash>,
    /// The checkpoint, a signed note.
    pub note: &'a str,
}

impl<'a> Submission<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn parse(body: &'a str) -> Result<Self, &'static str> {
        let (head, note) = body.split_once("\n\n").ok_or("there is no empty line before the checkpoint")?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or("the first line is not `old SIZE`")?;
        let size: u64 = old.parse().map_err(|_| "the old size is no number")?;
        if size.to_string() != old {
            return Err("the old size has a leading zero or sign");
        }
        let hash = |line: &str| STANDARD.decode(line).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        let proof = lines.map(hash).collect::<Option<Vec<_>>>().ok_or("a proof line is not 32 bytes of base64")?;
        match proof.len() > MAX_PROOF_LINES {
            true => Err("the proof has more than 63 lines"),
            false => Ok(Self { old: size, proof, note }),
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = format!("old {}\n", self.old);
        for hash in &self.proof {
            body.push_str(&STANDARD.encode(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(self.note);
        body
    }
}
