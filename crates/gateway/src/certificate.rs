//! What the gateway reads in certificates: the hash that SCRAM binds to, and the name of a client.

use aws_lc_rs::digest;
use x509_parser::prelude::{FromDer, X509Certificate};

/// `tls-server-end-point` ([RFC 5929](https://www.rfc-editor.org/rfc/rfc5929#section-4.1)): the certificate's hash by the hash
/// function of its own signature, SHA-256 where that is MD5 or SHA-1. `None` where the signature names none, as Ed25519's.
pub(crate) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // RSA with MD5, SHA-1 and SHA-256; ECDSA with SHA-1 and SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => &digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// The common name of a certificate's subject; `None` where there is not exactly one, or not as text.
pub(crate) fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let mut names = parsed.subject().iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else { return None };
    // A NUL in it would let it be read as a shorter name elsewhere.
    name.as_str().ok().filter(|name| !name.is_empty() && !name.contains('\0')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SignatureAlgorithm};

    fn certificate(names: &[&str], algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.self_signed(&KeyPair::generate_for(algorithm).unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        let sha256 = certificate(&["a"], &rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(end_point(&sha256).unwrap(), digest::digest(&digest::SHA256, &sha256).as_ref());
        let sha384 = certificate(&["a"], &rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(end_point(&sha384).unwrap(), digest::digest(&digest::SHA384, &sha384).as_ref());
        assert_eq!(end_point(&certificate(&["a"], &rcgen::PKCS_ED25519)), None);
        assert_eq!(end_point(b"no certificate"), None);
    }

    #[test]
    fn a_name_is_one_text() {
        assert_eq!(common_name(&certificate(&["intake 3"], &rcgen::PKCS_ED25519)).as_deref(), Some("intake 3"));
        assert_eq!(common_name(&certificate(&[], &rcgen::PKCS_ED25519)), None);
        assert_eq!(common_name(&certificate(&["app\0.example"], &rcgen::PKCS_ED25519)), None);
        assert_eq!(common_name(b"no certificate"), None);
    }
}
