//! How often one address may ask: a bucket that fills with so many tokens a second, and holds two seconds' worth.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses that are remembered at once; beyond that the fullest buckets are forgotten first.
const MAX_ADDRESSES: usize = 10_000;

struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Buckets by address.
pub(crate) struct Rate {
    per_second: f64,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

/// Whoever has an IPv6 address has all of its /64.
pub(crate) fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

impl Rate {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.into(), buckets: Mutex::default() }
    }

    /// Takes one token, if there is one.
    pub(crate) fn take(&self, address: IpAddr, now: Instant) -> bool {
        let most = 2.0 * self.per_second;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = |bucket: &Bucket| {
            most.min(bucket.tokens + now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second)
        };
        if buckets.len() >= MAX_ADDRESSES {
            buckets.retain(|_, bucket| filled(bucket) < most);
            if buckets.len() >= MAX_ADDRESSES {
                return false;
            }
        }
        let bucket = buckets.entry(place(address)).or_insert(Bucket { tokens: most, at: now });
        bucket.tokens = filled(bucket);
        bucket.at = now;
        let there = bucket.tokens >= 1.0;
        if there {
            bucket.tokens -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_address_that_asks_too_often_waits_and_the_others_do_not() {
        let (rate, begin) = (Rate::new(5), Instant::now());
        let [one, two] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        assert_eq!((0..20).filter(|_| rate.take(one, begin)).count(), 10);
        assert!(rate.take(two, begin));
        assert_eq!((0..20).filter(|_| rate.take(one, begin + Duration::from_secs(1))).count(), 5);
        let [near, nearer] = ["2001:db8::1", "2001:db8::2"].map(|text| text.parse().unwrap());
        assert_eq!((0..20).filter(|_| rate.take(near, begin)).count(), 10);
        assert!(!rate.take(nearer, begin), "the same /64");
    }
}
