//! Whoever does the work.

use std::{hash::Hash, thread};

use super::{Flight, Flights, Lost};
use crate::sync::{
    Arc,
    Ordering::{Relaxed, SeqCst},
};

/// The duty to do a flight's work and to say how it went. Dropping it tells the followers that it won't be done.
pub(crate) struct Leader<I: Hash + Eq, T> {
    flights: Arc<Flights<I, T>>,
    /// The hash of its name, by which the flight finds itself.
    hash: u64,
    flight: Arc<Flight<T>>,
    outcome: Option<T>,
}

impl<I: Hash + Eq, T> Leader<I, T> {
    pub(super) const fn new(
        flights: Arc<Flights<I, T>>,
        hash: u64,
        flight: Arc<Flight<T>>,
    ) -> Self {
        Self {
            flights,
            hash,
            flight,
            outcome: None,
        }
    }

    pub(crate) fn flight(&self) -> Arc<Flight<T>> {
        Arc::clone(&self.flight)
    }

    /// Gives everybody the outcome. The name is free before anybody can see it.
    pub(crate) fn land(mut self, outcome: T) {
        self.outcome = Some(outcome);
    }
}

impl<I: Hash + Eq + Clone, T: Send + Sync + 'static> Leader<I, T> {
    /// Those who join from here on are late: what the leader learns next may be older than they are.
    pub(crate) fn seal(&self) {
        self.flight.seal();
    }

    /// Gives the flight another name: those who know it by the old one can't join any more.
    pub(crate) fn rename(&mut self, id: I) {
        let hash = self.flights.hash(&id);
        self.flights.register(hash, id, Arc::clone(&self.flight));
        self.renamed(hash);
    }

    /// The same, for a name that only one flight at a time may have: waits until it is free.
    pub(crate) async fn rename_alone(&mut self, id: &I) {
        let hash = self.flights.hash(id);
        while let Some(other) = self.flights.join_or_register(hash, id, &self.flight) {
            other.landed().await;
        }
        self.renamed(hash);
    }

    fn renamed(&mut self, hash: u64) {
        self.flights.unregister(self.hash, &self.flight);
        self.hash = hash;
    }

    /// Those who came before this moment may join whenever they get to it.
    pub(crate) fn begin(&self) {
        self.flight
            .begin(self.flights.clock.fetch_add(1, SeqCst) + 1);
    }
}

impl<I: Hash + Eq, T> Drop for Leader<I, T> {
    fn drop(&mut self) {
        self.flights.unregister(self.hash, &self.flight);
        self.flights.under_way.fetch_sub(1, Relaxed);
        let lost = || match thread::panicking() {
            true => Lost::Panicked,
            false => Lost::Abandoned,
        };
        self.flight.finish(self.outcome.take().ok_or_else(lost));
    }
}
