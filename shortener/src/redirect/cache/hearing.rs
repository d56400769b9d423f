//! How long what is cached may be believed: as long as the others are heard, or for a shorter time.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use super::millis;

/// For so long is an entry believed that nobody would tell to be out of date.
pub(crate) const UNHEARD_TTL: Duration = Duration::from_secs(2);

/// What is heard of changes that other instances make. All times are of the uptime.
#[derive(Debug)]
pub(super) struct Hearing {
    /// Every change that was made before then was heard.
    heard_until_ms: AtomicI64,
    /// What was read before then may be out of date.
    distrusted_before_ms: AtomicI64,
}

/// Before all times.
const NEVER: i64 = i64::MIN / 4;

impl Hearing {
    pub fn new() -> Self {
        Hearing { heard_until_ms: AtomicI64::new(NEVER), distrusted_before_ms: AtomicI64::new(0) }
    }

    pub fn heard_all_until(&self, uptime_ms: i64) {
        self.heard_until_ms.fetch_max(uptime_ms, Ordering::Relaxed);
    }

    pub fn distrust_before(&self, uptime_ms: i64) {
        self.distrusted_before_ms.fetch_max(uptime_ms, Ordering::Relaxed);
    }

    /// Whether changes are heard, so that entries need not be doubted before their time is over.
    pub fn is_heard(&self, uptime_ms: i64) -> bool {
        uptime_ms - self.heard_until_ms.load(Ordering::Relaxed) < millis(UNHEARD_TTL)
    }

    /// When something must still be fresh to be believed now, if it is fresh for `ttl` after it was read.
    pub fn doubted_at_ms(&self, uptime_ms: i64, ttl: Duration) -> i64 {
        let ttl_ms = millis(ttl);
        let unheard = if self.is_heard(uptime_ms) { 0 } else { ttl_ms - millis(UNHEARD_TTL).min(ttl_ms) };
        // Read at the time that is not distrusted any more, it would be fresh until a ttl later.
        let distrusted = self.distrusted_before_ms.load(Ordering::Relaxed).saturating_add(ttl_ms) - 1;
        uptime_ms.saturating_add(unheard).max(distrusted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Whether something is believed `now` that was read at `read`.
    fn believed(hearing: &Hearing, read_ms: i64, now_ms: i64) -> bool {
        read_ms + millis(MINUTE) > hearing.doubted_at_ms(now_ms, MINUTE)
    }

    /// Seen to fail when the time without a beat did not count, and when entries from before the stream were trusted.
    #[test]
    fn what_nobody_would_tell_is_believed_for_two_seconds() {
        let hearing = Hearing::new();
        assert!(believed(&hearing, 10_000, 11_999) && !believed(&hearing, 10_000, 12_000), "never heard");
        hearing.distrust_before(20_000);
        hearing.heard_all_until(20_000);
        assert!(!believed(&hearing, 19_999, 20_000), "read before others were heard");
        assert!(believed(&hearing, 20_000, 21_999));
        hearing.heard_all_until(75_000);
        assert!(believed(&hearing, 20_000, 76_999), "heard");
        assert!(!believed(&hearing, 20_000, 77_000), "not heard any more");
        assert!(believed(&hearing, 76_000, 77_999) && !believed(&hearing, 76_000, 78_000));
        hearing.heard_all_until(78_000);
        assert!(believed(&hearing, 76_000, 79_999), "heard again, and nothing was missed");
    }
}
