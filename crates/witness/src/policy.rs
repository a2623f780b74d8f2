//! Which witnesses a journal needs, and where they are.

use std::time::Duration;

use drieslot_journal::Cosigner;
use hyper::Uri;
use serde::Deserialize;

/// As a charter says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Who may cosign; nobody where there are no witnesses.
    pub cosigners: Vec<Cosigner>,
    /// How many of them make a checkpoint cosigned.
    pub quorum: usize,
    /// How many of them may be faulty or lie.
    pub faults: usize,
    /// How long applications go on while there is no quorum.
    pub grace: Duration,
}

impl Policy {
    /// Whether this many of so many witnesses suffice: two quorums then have an honest witness in common, so that no two
    /// histories
    /// both get one.
    ///
    /// # Errors
    /// Which rule isn't met.
    pub fn check_numbers(witnesses: usize, quorum: usize, faults: usize) -> Result<(), String> {
        if quorum == 0 || quorum > witnesses {
            return Err(format!("witness_quorum is {quorum} of {witnesses} witnesses: 1 ≤ witness_quorum ≤ witnesses"));
        }
        // Neither number is near the end of its type: a text holds few witnesses.
        match quorum.saturating_mul(2) > witnesses.saturating_add(faults) {
            true => Ok(()),
            false => Err(format!(
                "witness_quorum is {quorum} of {witnesses} witnesses, of which witness_faults = {faults} may lie: two histories could \
                 both be cosigned; 2 · witness_quorum > witnesses + witness_faults"
            )),
        }
    }

    /// Whether there are no witnesses.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.cosigners.is_empty()
    }
}

/// Where a witness of the charter is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessAddress {
    /// Its name in the charter.
    pub name: String,
    /// Its submission prefix, such as `http://192.0.2.7:7380`.
    pub url: WitnessUrl,
}

/// `http://HOST[:PORT][/PREFIX]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WitnessUrl {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) target: String,
}

impl TryFrom<String> for WitnessUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let uri: Uri = text.parse().map_err(|error| format!("{text} is no address: {error}"))?;
        if uri.scheme_str() != Some("http") || uri.query().is_some() {
            return Err(format!(
                "{text} is not http://HOST[:PORT][/PREFIX]; what is exchanged is signed, and for https:// a proxy here adds TLS"
            ));
        }
        let host = uri.host().ok_or_else(|| format!("{text} names no host"))?.trim_matches(['[', ']']).to_owned();
        let target = format!("{}/add-checkpoint", uri.path().trim_end_matches('/'));
        Ok(Self { host, port: uri.port_u16().unwrap_or(80), target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_quorums_have_an_honest_witness_in_common() {
        for (witnesses, quorum, faults, good) in [
            (1, 1, 0, true),
            (1, 1, 1, false),
            (2, 1, 0, false),
            (2, 2, 0, true),
            (3, 2, 0, true),
            (3, 2, 1, false),
            (3, 3, 1, true),
            (4, 3, 1, true),
            (5, 3, 1, false),
            (5, 4, 2, true),
            (3, 0, 0, false),
            (3, 4, 0, false),
            (3, 3, usize::MAX, false),
        ] {
            assert_eq!(
                Policy::check_numbers(witnesses, quorum, faults).is_ok(),
                good,
                "{quorum} of {witnesses}, {faults}"
            );
        }
    }

    #[test]
    fn addresses_are_of_plain_http() {
        let read = |text: &str| WitnessUrl::try_from(text.to_owned());
        let url = read("http://[::1]:7380/w1/").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.target.as_str()), ("::1", 7380, "/w1/add-checkpoint"));
        assert_eq!(read("http://w.example").unwrap().target, "/add-checkpoint");
        for bad in ["https://w.example", "w.example:80", "/x", "http://", "http://w.example?x=1", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
