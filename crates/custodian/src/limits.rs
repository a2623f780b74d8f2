//! How often a gateway may ask: a token bucket for each gateway and for each of its domains, and windows that turn a flood
//! into one journal entry.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use drieslot_link::{Bucket, Fingerprint, Rate};
use serde::{Deserialize, Serialize};

/// A window of refusals ends after this, and is journalled then.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// So many domains are named in a window's entry.
const NAMED_DOMAINS: usize = 16;
/// Buckets that are full again are forgotten when there are more than this.
const PRUNE_ABOVE: usize = 4_096;

/// How many questions a custodian takes. A question asks for a share, or to sign a key-check.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Questions of one gateway at once, before the rate counts.
    pub gateway_burst: u32,
    /// Questions of one gateway in a minute, after that.
    pub gateway_per_minute: u32,
    /// Questions of one gateway for one domain at once.
    pub domain_burst: u32,
    /// Questions of one gateway for one domain in a minute, after that.
    pub domain_per_minute: u32,
}

impl Default for LimitsConfig {
    /// A gateway that starts with a thousand domains is not limited, and neither is one that is restarted every few seconds.
    fn default() -> Self {
        Self { gateway_burst: 4_000, gateway_per_minute: 1_200, domain_burst: 60, domain_per_minute: 60 }
    }
}

impl LimitsConfig {
    /// None may be 0: that would stop all access, which a custodian does by being stopped.
    pub(crate) fn usable(&self) -> bool {
        [self.gateway_burst, self.gateway_per_minute, self.domain_burst, self.domain_per_minute].iter().all(|n| *n > 0)
    }
}

/// Which limit was reached, and when the next question has a chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limited {
    pub(crate) by_domain: bool,
    /// Whole seconds, at least 1.
    pub(crate) retry_after_s: u64,
    /// Nothing of this gateway was limited in this window before.
    pub(crate) first: bool,
}

/// What one gateway was refused from `since` on. Its journal entry's body.
#[derive(Debug, Serialize)]
pub(crate) struct Window {
    pub(crate) gateway_tls: Fingerprint,
    pub(crate) seconds: u64,
    pub(crate) limited_by_gateway: u64,
    pub(crate) limited_by_domain: u64,
    /// Those that reached a limit of their own; not all, where there are many.
    pub(crate) domains: BTreeSet<String>,
    #[serde(skip)]
    since: Instant,
}

/// All buckets of one custodian. The time is given, so that it can be tested.
#[derive(Debug)]
pub(crate) struct Limits {
    gateway: Rate,
    domain: Rate,
    gateways: HashMap<Fingerprint, Bucket>,
    domains: HashMap<(Fingerprint, String), Bucket>,
    windows: HashMap<Fingerprint, Window>,
}

impl Limits {
    pub(crate) fn new(config: &LimitsConfig) -> Self {
        Self {
            gateway: Rate::new(config.gateway_burst, config.gateway_per_minute),
            domain: Rate::new(config.domain_burst, config.domain_per_minute),
            gateways: HashMap::new(),
            domains: HashMap::new(),
            windows: HashMap::new(),
        }
    }

    /// Takes a token of both buckets, or of neither.
    pub(crate) fn take(&mut self, peer: Fingerprint, domain: &str, now: Instant) -> Result<(), Limited> {
        self.prune(now);
        let new = |rate: Rate| Bucket::full(rate, now);
        let gateway = self.gateways.entry(peer).or_insert_with(|| new(self.gateway));
        let wait = gateway.wait(self.gateway, now);
        if !wait.is_zero() {
            // Not looked up: a gateway that names ever new domains must not make ever new buckets.
            return Err(self.refuse(peer, None, wait, now));
        }
        let bucket = self.domains.entry((peer, domain.to_owned())).or_insert_with(|| new(self.domain));
        let wait = bucket.wait(self.domain, now);
        // A question that is limited costs the gateway too, or one domain's flood would be free.
        gateway.take();
        if !wait.is_zero() {
            return Err(self.refuse(peer, Some(domain), wait, now));
        }
        bucket.take();
        Ok(())
    }

    fn refuse(&mut self, peer: Fingerprint, domain: Option<&str>, wait: Duration, now: Instant) -> Limited {
        let first = !self.windows.contains_key(&peer);
        let window = self.windows.entry(peer).or_insert_with(|| Window {
            gateway_tls: peer,
            seconds: 0,
            limited_by_gateway: 0,
            limited_by_domain: 0,
            domains: BTreeSet::new(),
            since: now,
        });
        match domain {
            None => window.limited_by_gateway += 1,
            Some(domain) => {
                window.limited_by_domain += 1;
                if window.domains.len() < NAMED_DOMAINS {
                    window.domains.insert(domain.to_owned());
                }
            }
        }
        Limited { by_domain: domain.is_some(), retry_after_s: wait.as_secs() + 1, first }
    }

    /// The windows that have ended, to be journalled; all of them where the custodian stops.
    pub(crate) fn ended(&mut self, now: Instant, all: bool) -> Vec<Window> {
        let passed = |window: &Window| now.saturating_duration_since(window.since);
        let over: HashSet<Fingerprint> =
            self.windows.iter().filter(|(_, one)| all || passed(one) >= WINDOW).map(|(peer, _)| *peer).collect();
        let ended = over.iter().filter_map(|peer| self.windows.remove(peer));
        ended.map(|window| Window { seconds: passed(&window).as_secs(), ..window }).collect()
    }

    fn prune(&mut self, now: Instant) {
        if self.domains.len() > PRUNE_ABOVE {
            let rate = self.domain;
            self.domains.retain(|_, bucket| !bucket.is_full(rate, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: LimitsConfig =
        LimitsConfig { gateway_burst: 6, gateway_per_minute: 60, domain_burst: 3, domain_per_minute: 6 };

    fn peer(name: &[u8]) -> Fingerprint {
        Fingerprint::of_spki(name)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (mut limits, begun, one) = (Limits::new(&SMALL), Instant::now(), peer(b"1"));
        let after = |seconds| begun + Duration::from_secs(seconds);
        for _ in 0..3 {
            limits.take(one, "a", begun).unwrap();
        }
        let limited = limits.take(one, "a", begun).unwrap_err();
        assert_eq!(limited, Limited { by_domain: true, retry_after_s: 11, first: true });
        limits.take(one, "b", begun).unwrap();
        limits.take(one, "b", begun).unwrap();
        let limited = limits.take(one, "c", begun).unwrap_err();
        assert_eq!(limited, Limited { by_domain: false, retry_after_s: 2, first: false });
        limits.take(peer(b"2"), "a", begun).expect("another gateway is not concerned");
        // Asked as often as one can: never more than the rate allows.
        let granted = (0..6_000).filter(|n| limits.take(one, "a", after(20) + Duration::from_millis(n * 10)).is_ok());
        let granted = granted.count();
        assert!((7..=9).contains(&granted), "{granted} in a minute");
    }

    #[test]
    fn a_flood_leaves_one_window_with_its_count_and_no_more_buckets_than_it_has_tokens() {
        let (mut limits, begun, one) = (Limits::new(&SMALL), Instant::now(), peer(b"1"));
        for number in 0..10_000 {
            let _ = limits.take(one, &format!("made-up-{number}"), begun);
        }
        assert_eq!(limits.domains.len(), 6);
        assert!(limits.ended(begun, false).is_empty());
        let ended = limits.ended(begun + WINDOW, false);
        assert_eq!((ended.len(), ended[0].limited_by_gateway, ended[0].seconds), (1, 9_994, 60));
        assert!(limits.ended(begun + WINDOW, true).is_empty());
    }
}
