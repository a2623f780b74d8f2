//! What a part tells Prometheus of its witnesses. They are told apart by their place in the charter: no name is in a label.

use drieslot_link::Metric;

use crate::Cosigning;

const PLACES: [&str; Cosigning::MAX_WITNESSES] =
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"];

impl Cosigning {
    /// As many witnesses a charter may have.
    pub const MAX_WITNESSES: usize = 9;

    /// None where there are no witnesses.
    pub fn metrics(&self) -> Vec<Metric> {
        let (age, cosigned, conflicts, ages) = self.read(|standing| standing.measured());
        if ages.is_empty() {
            return Vec::new();
        }
        vec![
            Metric::gauge("drieslot_cosigned_age_seconds", "Since a quorum of witnesses last cosigned.", age),
            Metric::gauge("drieslot_cosigned_entries", "Entries of the journal under that.", cosigned),
            Metric::gauges(
                "drieslot_witness_age_seconds",
                "Since each witness last cosigned, by its place in the charter.",
                "witness",
                PLACES.into_iter().zip(ages),
            ),
            Metric::gauge(
                "drieslot_witness_conflicts",
                "Witnesses that know another history of the journal.",
                u64::try_from(conflicts).unwrap_or(u64::MAX),
            ),
        ]
    }
}
