//! Sources that are asked again and again.

use std::future::Future;
use std::time::Duration;

use tracing::warn;

use crate::scrape::Group;

use super::desk::Publisher;
use super::standing::Account;

/// A source that gives all its groups when it is asked.
pub(super) trait Refresh {
    /// Asks, and notes what became of each of its parts. What it knows now, whole; an error, which the caller counts,
    /// keeps what it knew.
    fn refresh(&mut self, account: Account<'_>) -> impl Future<Output = Result<Vec<Group>, String>>;

    /// What it is called in the log.
    fn name(&self) -> String;
}

/// Asks at once, then at every `interval`, for ever, and publishes the answers.
pub(super) async fn follow(mut source: impl Refresh, interval: Duration, publisher: &Publisher) {
    let mut ticks = tokio::time::interval(interval.max(INTERVAL_MIN));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let account = publisher.account();
    loop {
        ticks.tick().await;
        account.counts.tries.add(1);
        match source.refresh(account).await {
            Ok(groups) => publisher.publish(groups).await,
            Err(why) => {
                account.counts.failures.add(1);
                let (job, source) = (account.job(), source.name());
                warn!(%job, source, error = why, "targets not refreshed: those before stay");
            }
        }
    }
}

/// No source is asked more often.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
