//! When a key that was not given may be asked for again: later each time, never all gateways at once.

use std::time::{Duration, Instant};

use crate::client::KeyError;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// A custodian cannot keep a gateway away for longer than this.
const LONGEST_OBEYED: Duration = Duration::from_secs(300);

/// What is known of the last questions for one key. Empty after an answer.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    failures: u32,
    last: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    error: KeyError,
    until: Instant,
    /// The register's revision that it was asked under.
    revision: u64,
}

impl Pause {
    /// The error to give without asking, where it is too early to ask.
    pub(crate) fn holds(&self, now: Instant, revision: u64) -> Option<KeyError> {
        let last = self.last.as_ref()?;
        // A new mandate may have changed a refusal, but not a limit.
        let changed = last.revision != revision && !matches!(last.error, KeyError::Limited { .. });
        (now < last.until && !changed).then(|| last.error.clone())
    }

    /// Notes a failure; gives when to ask again. `random` spreads gateways that failed together.
    pub(crate) fn failed(&mut self, error: &KeyError, now: Instant, revision: u64, random: u8) -> Instant {
        let longest = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let spread = |longest: Duration| longest / 2 + longest / 2 * u32::from(random) / 255;
        let pause = match error {
            KeyError::Limited { retry_after_s, .. } => {
                Duration::from_secs(*retry_after_s).min(LONGEST_OBEYED) + spread(longest)
            }
            KeyError::Config(_)
            | KeyError::Denied(_)
            | KeyError::Refused { .. }
            | KeyError::Unreachable { .. }
            | KeyError::WrongShare { .. }
            | KeyError::Unconfirmed { .. } => spread(longest),
        };
        let until = now + pause;
        self.last = Some(Failure { error: error.clone(), until, revision });
        until
    }

    pub(crate) fn answered(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use drieslot_register::Function;

    use super::*;

    fn unreachable() -> KeyError {
        KeyError::Unreachable { function: Function::Keys, why: "gone".into() }
    }

    #[test]
    fn pauses_grow_to_a_bound_and_end_with_an_answer() {
        let (mut pause, now) = (Pause::default(), Instant::now());
        assert!(pause.holds(now, 1).is_none());
        let mut before = Duration::ZERO;
        for round in 0..40 {
            let until = pause.failed(&unreachable(), now, 1, 255) - now;
            assert!(until >= before && until <= LONGEST, "round {round}: {until:?}");
            before = until;
        }
        assert_eq!(before, LONGEST);
        assert!(pause.failed(&unreachable(), now, 1, 0) - now == LONGEST / 2);
        assert!(pause.holds(now, 1).is_some());
        assert!(pause.holds(now, 2).is_none(), "a statement came into the register");
        assert!(pause.holds(now + LONGEST, 1).is_none());
        pause.answered();
        assert_eq!(pause.failed(&unreachable(), now, 1, 255) - now, FIRST);
    }

    #[test]
    fn a_custodians_wish_is_obeyed_within_bounds() {
        let limited = |retry_after_s| KeyError::Limited { function: Function::Keys, retry_after_s };
        let (mut pause, now) = (Pause::default(), Instant::now());
        assert!(pause.failed(&limited(30), now, 1, 0) >= now + Duration::from_secs(30));
        assert!(pause.holds(now, 2).is_some(), "nothing in the register changes a limit");
        assert!(pause.failed(&limited(u64::MAX), now, 1, 255) <= now + LONGEST_OBEYED + LONGEST);
    }
}
