//! wait: until someone else's lease is over.

use std::time::Duration;

use larder_store::{Reply, Result as StoreResult, StoreExt, Subscription};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Busy, Keyspace, Lookup};
use crate::{protocol::Wait, token::Token};

/// How long to trust a wake-up to come before looking without one: this part of a lease, up to a limit; spread by lot
/// from half of it to one and a half.
const POLLS_IN_A_LEASE: u32 = 20;
const LONGEST_POLL: Duration = Duration::from_secs(1);

impl<K, V: 'static> Keyspace<K, V> {
    /// Waits until the lease that was seen is gone, and says what is there then. It hears of the end by a wake-up; a
    /// lost one, or a holder that vanished, costs a poll; polls come anyway, some twenty in the lifetime of a lease, and all
    /// there is where the store can't be subscribed to. If the lease is still there at the end, so says the answer.
    ///
    /// Cost: SUBSCRIBE and one script, then one GET after the wake-up.
    ///
    /// # Cancellation
    /// May be dropped at any await.
    pub async fn wait(&self, busy: Busy, end: Instant) -> Lookup<V> {
        let Some(lease) = busy.lease() else {
            return Lookup::Busy(busy);
        };
        let waited = timeout_at(end, self.until_over(&busy, lease, end)).await;
        match waited {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => Lookup::Failed(self.core.store_failed(error)),
            Err(_elapsed) => Lookup::Busy(busy),
        }
    }

    async fn until_over(&self, busy: &Busy, lease: Token, end: Instant) -> StoreResult<Lookup<V>> {
        let address = busy.address();
        // Subscribed before the lease is marked, so that no wake-up is missed. Without a subscription there are polls.
        let mut wake_ups = match self.core.store.subscribe(address).await {
            Ok(wake_ups) => Some(wake_ups),
            Err(error) => {
                self.core.store_failed(error);
                None
            }
        };
        let there = self.core.store.apply(address, &Wait).await?;
        let record = match there {
            Reply::Bytes(record) => Some(record),
            Reply::Nil => None,
            // A lease is there; if it is another one, the reader that comes back for it will see.
            _ => {
                self.woken(&mut wake_ups, end).await;
                self.core.store.get(address).await?
            }
        };
        let mut found = self.read(address, record.as_ref());
        while matches!(&found, Lookup::Busy(busy) if busy.lease() == Some(lease)) {
            self.woken(&mut wake_ups, end).await;
            let record = self.core.store.get(address).await?;
            found = self.read(address, record.as_ref());
        }
        Ok(found)
    }

    /// Until the next wake-up, or until it is time to look without one.
    async fn woken(&self, wake_ups: &mut Option<Subscription>, end: Instant) {
        let lot = Token::fresh().map_or(0.5, Token::fraction);
        let poll = (self.lease_lifetime() / POLLS_IN_A_LEASE).min(LONGEST_POLL);
        let poll = sleep_until((Instant::now() + poll.mul_f64(0.5 + lot)).min(end));
        match wake_ups {
            Some(wake_ups) => tokio::select! {
                Some(_) = wake_ups.next() => {}
                () = poll => {}
            },
            None => poll.await,
        }
    }
}
