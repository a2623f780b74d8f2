//! How often one portal may ask: a bucket that fills evenly, and holds a minute's worth.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// One portal's bucket.
pub(crate) struct Rate {
    per_minute: f64,
    /// Questions that may be asked at once, and when that was so.
    left: Mutex<(f64, Instant)>,
}

impl Rate {
    pub(crate) fn new(per_minute: u32, now: Instant) -> Self {
        Self { per_minute: per_minute.into(), left: Mutex::new((per_minute.into(), now)) }
    }

    /// Takes one question.
    ///
    /// # Errors
    /// In how many seconds there is one again.
    pub(crate) fn take(&self, now: Instant) -> Result<(), u64> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.saturating_duration_since(left.1).as_secs_f64() * self.per_minute / 60.0;
        *left = (self.per_minute.min(left.0 + gained), now);
        if left.0 < 1.0 {
            let wait = std::time::Duration::from_secs_f64((1.0 - left.0) * 60.0 / self.per_minute);
            return Err(wait.as_secs() + 1);
        }
        left.0 -= 1.0;
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
        let rate = Rate::new(30, begin);
        assert_eq!((0..100).filter(|_| rate.take(begin).is_ok()).count(), 30);
        assert_eq!(rate.take(begin), Err(3));
        assert_eq!((0..100).filter(|_| rate.take(begin + Duration::from_secs(4)).is_ok()).count(), 2);
        assert_eq!((0..100).filter(|_| rate.take(begin + Duration::from_secs(4_000)).is_ok()).count(), 30);
    }
}
