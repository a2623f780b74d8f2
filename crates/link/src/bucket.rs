//! How often somebody may ask: a bucket of tokens that come back with time. The time is given, so that it can be tested.

use std::time::{Duration, Instant};

/// What a bucket holds at most, and what comes back in a second.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    burst: f64,
    per_s: f64,
}

impl Rate {
    /// Both above 0.
    #[must_use]
    pub fn new(burst: u32, per_minute: u32) -> Self {
        Self { burst: f64::from(burst), per_s: f64::from(per_minute) / 60.0 }
    }
}

/// One asker's tokens.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst, at: now }
    }

    /// How long until there is a token; zero where there is one.
    #[must_use]
    pub fn wait(&mut self, rate: Rate, now: Instant) -> Duration {
        self.fill(rate, now);
        Duration::from_secs_f64(((1.0 - self.tokens) / rate.per_s).max(0.0))
    }

    /// Takes one, of which [`Bucket::wait`] said that it is there.
    pub fn take(&mut self) {
        self.tokens -= 1.0;
    }

    /// Whether nothing would be lost if it were forgotten.
    #[must_use]
    pub fn is_full(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        self.tokens >= rate.burst
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate.per_s).min(rate.burst);
        self.at = now;
    }
}
