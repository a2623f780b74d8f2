//! Length classes: values of variable length are padded before they are sealed, so that a cell shows a class and
//! not a length.
//!
//! ISO/IEC 7816-4 padding: one byte 0x80, then zeros up to the class. Classes are the multiples of 16 up to 256; above
//! 2^k (k ≥ 8) the multiples of 2^(k-3) up to 2^(k+1), which bounds the padding to an eighth of the value.

const MARK: u8 = 0x80;

/// The smallest class that holds a value of `len` bytes and the mark. `None` where it does not fit a `usize`.
pub(crate) fn class_of(len: usize) -> Option<usize> {
    let marked = len.checked_add(1)?;
    let step = if marked <= 256 { 16 } else { 1_usize << ((marked - 1).ilog2() - 3) };
    marked.checked_next_multiple_of(step)
}

/// Pads what `out` holds from `start` on up to `class` bytes.
pub(crate) fn pad(out: &mut Vec<u8>, start: usize, class: usize) {
    out.push(MARK);
    out.resize(start + class, 0);
}

/// The length of the value in a padded plaintext; `None` where it is not padded as [`pad`] does.
pub(crate) fn unpadded_len(padded: &[u8]) -> Option<usize> {
    let len = padded.iter().rposition(|byte| *byte != 0)?;
    (padded.get(len) == Some(&MARK) && class_of(len) == Some(padded.len())).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::{class_of, pad, unpadded_len};

    #[test]
    fn classes_are_those_of_the_format() {
        let expected =
            [(0, 16), (15, 16), (16, 32), (255, 256), (256, 288), (287, 288), (288, 320), (511, 512), (512, 576)];
        for (len, class) in expected {
            assert_eq!(class_of(len), Some(class), "{len}");
        }
        assert_eq!(class_of(usize::MAX), None);
    }

    #[test]
    fn padding_costs_at_most_an_eighth_and_comes_off_again() {
        let mut last = 0;
        for len in 0..5000 {
            let class = class_of(len).unwrap();
            assert!(class > len && class >= last, "{len}");
            assert!(len < 256 || (class - len - 1) * 8 < len + 1, "{len}");
            last = class;
            let mut bytes = vec![0x80; len];
            pad(&mut bytes, 0, class);
            assert_eq!((bytes.len(), unpadded_len(&bytes)), (class, Some(len)));
        }
    }

    #[test]
    fn what_was_not_padded_so_is_refused() {
        for bytes in [&b""[..], &[0; 16], &[0x80; 15], &[1; 16], b"\x80\0\0\0", &[&[0x80][..], &[0; 31]].concat()] {
            assert_eq!(unpadded_len(bytes), None, "{bytes:?}");
        }
    }
}
