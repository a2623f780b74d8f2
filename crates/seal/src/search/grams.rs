//! Fragments of folded texts, and the tokens that stand for them in cells.

use aws_lc_rs::digest::{SHA256, digest};

use super::fold::fold;
use crate::SealError;
use crate::keys::BlockKey;

/// Before the first and behind the last character of a value.
const START: char = '\u{2}';
const END: char = '\u{3}';
const MAX_GRAM_CHARS: usize = 3;
const BLOCK_LEN: usize = 16;
/// Of a block that makes a token of no fragment; a fragment's block begins with its length, 1 to 12.
const FILLER: u8 = 0xff;
/// The number of a cell's tokens is a multiple of this.
const TOKENS_STEP: usize = 8;
/// Most bytes of a cell's tokens: their length has 3 bytes.
const MAX_TOKENS_LEN: usize = (1 << 24) - 1;
const TOKEN_LEN: usize = 6;
const ALPHABET: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

type Block = [u8; BLOCK_LEN];
type Token = [u8; TOKEN_LEN];

fn block(gram: &[char]) -> Block {
    let mut text = [0_u8; MAX_GRAM_CHARS * 4];
    let mut len = 0;
    for c in gram {
        if let Some(rest) = text.get_mut(len..).filter(|rest| rest.len() >= c.len_utf8()) {
            len += c.encode_utf8(rest).len();
        }
    }
    let mut block = [0; BLOCK_LEN];
    for (to, from) in block.iter_mut().skip(1).zip(text) {
        *to = from;
    }
    block[0] = u8::try_from(len).unwrap_or(0);
    block
}

/// Of a value: its characters, and with its start and its end its pairs and triples.
fn of_value(value: &str) -> Vec<Block> {
    let mut chars = vec![START];
    fold(value, &mut chars);
    chars.push(END);
    let singles = chars.windows(1).filter(|gram| !matches!(gram, [START | END]));
    let mut blocks: Vec<Block> = singles.chain(chars.windows(2)).chain(chars.windows(3)).map(block).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

/// A run of characters that every value looked for has in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) text: String,
    /// Whether the value begins, and ends, with it.
    pub(super) at_start: bool,
    pub(super) at_end: bool,
}

/// The fragments that every value with this run has: the longest that there are.
fn of_run(run: &Run) -> Vec<Block> {
    let mut chars = Vec::new();
    if run.at_start {
        chars.push(START);
    }
    fold(&run.text, &mut chars);
    if run.at_end {
        chars.push(END);
    }
    let len = chars.len().min(MAX_GRAM_CHARS);
    if len == 0 || matches!(chars.as_slice(), [START | END]) {
        return Vec::new();
    }
    chars.windows(len).map(block).collect()
}

fn token(block: &[u8]) -> Token {
    let bits = block.iter().take(8).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    std::array::from_fn(|at| {
        let sextet = (bits >> (58 - 6 * at)) & 63;
        usize::try_from(sextet).ok().and_then(|sextet| ALPHABET.get(sextet)).copied().unwrap_or(b'A')
    })
}

fn tokens(key: &BlockKey, blocks: &[Block]) -> Result<Vec<Token>, SealError> {
    let mut bytes = blocks.concat();
    key.encrypt_blocks(&mut bytes)?;
    let mut tokens: Vec<Token> = bytes.chunks_exact(BLOCK_LEN).map(token).collect();
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// Appends the tokens of a value in ascending order, a space between them. What is missing to a multiple of 8 is filled
/// with tokens that stand for nothing.
pub(crate) fn push_tokens(key: &BlockKey, value: &str, out: &mut Vec<u8>) -> Result<(), SealError> {
    let mut blocks = of_value(value);
    let summary = digest(&SHA256, value.as_bytes());
    let fillers = blocks.len().next_multiple_of(TOKENS_STEP) - blocks.len();
    for number in 0..u8::try_from(fillers).unwrap_or(0) {
        let mut block = [FILLER; BLOCK_LEN];
        block[1] = number;
        for (to, from) in block.iter_mut().skip(2).zip(summary.as_ref()) {
            *to = *from;
        }
        blocks.push(block);
    }
    let tokens = tokens(key, &blocks)?.join(&b' ');
    if tokens.len() > MAX_TOKENS_LEN {
        return Err(SealError::TooLong { len: value.len(), max: MAX_TOKENS_LEN });
    }
    out.extend_from_slice(&tokens);
    Ok(())
}

/// The tokens that the cell of every value with these runs has.
pub(super) fn of_runs(key: &BlockKey, runs: &[Run]) -> Result<Vec<String>, SealError> {
    let mut blocks: Vec<Block> = runs.iter().flat_map(of_run).collect();
    blocks.sort_unstable();
    blocks.dedup();
    Ok(tokens(key, &blocks)?.iter().map(|token| String::from_utf8_lossy(token).into_owned()).collect())
}
