//! Order codes: bytes that compare as the values do.
//!
//! Chenette, Lewi, Weis, Wu, *Practical Order-Revealing Encryption with Limited Leakage* (FSE 2016), section 3, read
//! lexicographically (their section 3.2): digit i is `F(k, i ‖ b_0…b_{i-1}) + b_i`. They add modulo M, which goes
//! wrong once in M comparisons; here F has one value less than a digit can hold, so that the sum never wraps and the
//! order is exact. Two codes show where their values first differ and which is the greater, and nothing behind that
//! place; one digit in 255 is at the end of its range and so shows its bit.

use drieslot_schema::{LogicalType, MAX_ORDER_BITS};

use crate::keys::BlockKey;
use crate::{SealError, values};

const BLOCK_LEN: usize = 16;
/// F has the values 0 to 254.
const F_VALUES: u64 = 255;
const MAX_DIGITS: usize = MAX_ORDER_BITS as usize;

/// Bytes of the order code of a type; `None` where it has none.
pub(crate) fn code_len(ty: LogicalType) -> Option<usize> {
    ty.order_bits().map(usize::from)
}

/// Appends the order code of a canonical plaintext.
///
/// # Errors
/// `NotOrdered` where the bytes are no value of an ordered type.
pub(crate) fn push_code(key: &BlockKey, ty: LogicalType, canonical: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
    let digits = code_len(ty).filter(|digits| *digits <= MAX_DIGITS).ok_or(SealError::NotOrdered)?;
    let rank = values::rank(ty, canonical).ok_or(SealError::NotOrdered)?;
    let mut blocks = [0_u8; BLOCK_LEN * MAX_DIGITS];
    let blocks = blocks.get_mut(..BLOCK_LEN * digits).ok_or(SealError::Library)?;
    for (index, block) in blocks.chunks_exact_mut(BLOCK_LEN).enumerate() {
        block.copy_from_slice(&input(index, rank, digits)?);
    }
    key.encrypt_blocks(blocks)?;
    for (index, block) in blocks.chunks_exact(BLOCK_LEN).enumerate() {
        let random = block.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes) % F_VALUES);
        let bit = (rank >> (digits - 1 - index)) & 1;
        let digit = random.and_then(|random| u8::try_from(random + u64::from(bit == 1)).ok());
        out.push(digit.ok_or(SealError::Library)?);
    }
    Ok(())
}

/// `i` (2 bytes) and the `i` bits before it, from the highest bit of the other 14 bytes on, then zeros.
fn input(index: usize, rank: u128, digits: usize) -> Result<[u8; BLOCK_LEN], SealError> {
    let number = u16::try_from(index).map_err(|_| SealError::NotOrdered)?;
    let before = match index {
        0 => 0,
        _ => (rank >> (digits - index)) << (MAX_DIGITS - index),
    };
    Ok(((u128::from(number) << MAX_ORDER_BITS) | before).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::input;

    #[test]
    fn a_digit_depends_on_its_place_and_the_bits_before_it() {
        let hex = |index, rank| input(index, rank, 8).unwrap().map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex(0, 0b1010_0000), "00000000000000000000000000000000");
        assert_eq!(hex(1, 0b1010_0000), "00018000000000000000000000000000");
        assert_eq!(hex(3, 0b1010_0000), "0003a000000000000000000000000000");
        assert_eq!(hex(3, 0b1011_1111), hex(3, 0b1010_0000));
        assert_ne!(hex(2, 0b1100_0000), hex(2, 0b1000_0000));
    }
}
