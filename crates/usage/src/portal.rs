//! How often one portal may ask: a minute's worth at once, and then as it comes back.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use drieslot_link::{Bucket, Rate};

/// One portal's questions.
pub(crate) struct Portal {
    rate: Rate,
    left: Mutex<Bucket>,
}

impl Portal {
    pub(crate) fn new(per_minute: u32, now: Instant) -> Self {
        let rate = Rate::new(per_minute, per_minute);
        Self { rate, left: Mutex::new(Bucket::full(rate, now)) }
    }

    /// Takes one question.
    ///
    /// # Errors
    /// In how many seconds there is one again.
    pub(crate) fn take(&self, now: Instant) -> Result<(), u64> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = left.wait(self.rate, now);
        if !wait.is_zero() {
            return Err(wait.as_secs() + 1);
        }
        left.take();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_portal_that_asks_too_often_waits() {
        let begin = Instant::now();
        let portal = Portal::new(30, begin);
        assert_eq!((0..100).filter(|_| portal.take(begin).is_ok()).count(), 30);
        assert_eq!(portal.take(begin), Err(3));
        assert_eq!((0..100).filter(|_| portal.take(begin + Duration::from_secs(4)).is_ok()).count(), 2);
        assert_eq!((0..100).filter(|_| portal.take(begin + Duration::from_secs(4_000)).is_ok()).count(), 30);
    }
}
