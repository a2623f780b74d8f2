//! HMAC and HKDF in the notation of their RFCs. Each function is one primitive.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// 32 secret bytes, wiped when dropped.
pub(crate) type Secret32 = Zeroizing<[u8; 32]>;

/// `HMAC-SHA-256(key, data)`, [RFC 2104](https://www.rfc-editor.org/rfc/rfc2104), FIPS 180-4.
pub(crate) fn hmac_sha256(key: &[u8], data: &[&[u8]]) -> Secret32 {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in data {
        context.update(part);
    }
    let tag = context.sign();
    let mut out = Zeroizing::new([0_u8; 32]);
    for (to, from) in out.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    out
}

/// `HKDF-Extract(salt, IKM)`, [RFC 5869 section 2.2](https://www.rfc-editor.org/rfc/rfc5869#section-2.2).
pub(crate) fn hkdf_extract(salt: &[u8], ikm: &[&[u8]]) -> Secret32 {
    hmac_sha256(salt, ikm)
}

/// `HKDF-Expand(PRK, info, 32)`, [RFC 5869 section 2.3](https://www.rfc-editor.org/rfc/rfc5869#section-2.3):
/// for L = HashLen it is one block, T(1) = HMAC(PRK, info ‖ 0x01).
pub(crate) fn hkdf_expand(prk: &[u8; 32], info: &[u8]) -> Secret32 {
    hmac_sha256(prk, &[info, &[0x01]])
}

#[cfg(test)]
mod tests {
    use super::{hkdf_expand, hkdf_extract, hmac_sha256};

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn hmac_agrees_with_rfc_4231_case_2() {
        let tag = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(tag.to_vec(), hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    }

    #[test]
    fn hkdf_agrees_with_rfc_5869_case_1() {
        let prk = hkdf_extract(&hex("000102030405060708090a0b0c"), &[&[0x0b; 22]]);
        assert_eq!(prk.to_vec(), hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
        let okm = hkdf_expand(&prk, &hex("f0f1f2f3f4f5f6f7f8f9"));
        assert_eq!(okm.to_vec(), hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"));
    }
}
