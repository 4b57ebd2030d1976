//! Single flight without a store.

use std::{fmt, hash::Hash, time::Duration};

use smallvec::smallvec;

use crate::{
    flights::{Entered, Flights, Handover, Limits, Lost},
    sync::{Arc, spawn},
};

/// How often a caller follows others that come to nothing, before it works by itself.
const ATTEMPTS: usize = 2;

/// Runs one piece of work for each key at a time: callers that come while it is under way share its outcome.
///
/// Nothing is kept: a caller that comes after the end starts anew. Cloning gives another handle on the same flights.
///
/// ```
/// use larder_coalesce::SingleFlight;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let reports = SingleFlight::<u32, String>::new();
/// let (a, b) = tokio::join!(
///     reports.run(&2026, || async {
///         tokio::task::yield_now().await;
///         "made once".to_owned()
///     }),
///     reports.run(&2026, || async { unreachable!() }),
/// );
/// assert_eq!(a, Ok("made once".to_owned()));
/// assert_eq!(a, b);
/// # }
/// ```
///
/// # Cancellation and panics
/// The first caller, the leader, runs the work in its own task. If it goes away while others wait, the work goes on in
/// the background on the runtime it went away on; otherwise it is dropped. A panic reaches the leader's caller, and the others get
/// [`FlightError::Panicked`]. A leader that isn't done within the [`patience`](SingleFlightBuilder::patience) of its
/// followers is disowned, and one of them leads anew.
///
/// # Cost
/// Two allocations for the leader, none for a follower; no timer unless somebody follows, and then one for all.
pub struct SingleFlight<K, V> {
    flights: Arc<Flights<K, V>>,
    overload: Overload,
}

/// What happens to callers over the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overload {
    /// They work by themselves, uncoalesced.
    #[default]
    Bypass,
    /// They get an error at once.
    Refuse,
}

/// Why a flight had no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlightError {
    /// The leader's work panicked.
    Panicked,
    /// Too many flights are under way, or too many callers follow this one; see [`Overload::Refuse`].
    Overloaded,
}

impl fmt::Display for FlightError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panicked => "the work that was shared panicked",
            Self::Overloaded => "too much is under way already: try again later",
        })
    }
}

impl std::error::Error for FlightError {}

/// Settings of a [`SingleFlight`]; from [`SingleFlight::builder`].
#[derive(Debug, Clone, Copy)]
pub struct SingleFlightBuilder {
    limits: Limits,
    overload: Overload,
}

impl SingleFlightBuilder {
    /// How many keys may be under way at once. The default: 10,000.
    #[must_use]
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.limits.flights = keys;
        self
    }

    /// How many callers may follow one leader. The default: 10,000.
    #[must_use]
    pub const fn max_followers(mut self, followers: u32) -> Self {
        self.limits.followers = followers;
        self
    }

    /// How long followers wait for a leader before they disown it, counted from the first of them. The default: 30 s.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.limits.patience = patience;
        self
    }

    /// What happens to callers over the limits. The default: [`Overload::Bypass`].
    #[must_use]
    pub const fn overload(mut self, overload: Overload) -> Self {
        self.overload = overload;
        self
    }

    /// The flights.
    #[must_use]
    pub fn build<K: Hash + Eq, V>(self) -> SingleFlight<K, V> {
        SingleFlight {
            flights: Arc::new(Flights::new(self.limits)),
            overload: self.overload,
        }
    }
}

impl<K: Hash + Eq, V> SingleFlight<K, V> {
    /// With the default settings.
    #[must_use]
    pub fn new() -> Self {
        SingleFlight::<K, V>::builder().build()
    }

    /// Settings: limits, and what happens beyond them.
    #[must_use]
    pub const fn builder() -> SingleFlightBuilder {
        SingleFlightBuilder {
            limits: Limits::DEFAULT,
            overload: Overload::Bypass,
        }
    }

    /// How many keys are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.flights.under_way()
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The outcome of the work for this key: of this work, or of another caller's that is under way.
    ///
    /// # Errors
    /// [`FlightError::Panicked`] if another caller's work panicked, and [`FlightError::Overloaded`] where callers over
    /// the limits are refused. The work's own failure is a matter of `V`, which may be a `Result`.
    pub async fn run<F, Fut>(&self, key: &K, work: F) -> Result<V, FlightError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = V> + Send + 'static,
    {
        for _ in 0..ATTEMPTS {
            match self.flights.enter(key) {
                Entered::Lead(leader) => {
                    let work = work();
                    let flight = leader.flight();
                    let work = async move {
                        let value = work.await;
                        leader.land(value.clone());
                        value
                    };
                    return Ok(Handover::new(work, smallvec![flight], spawn).await);
                }
                Entered::Follow(follower) => match follower.outcome().await {
                    Ok(value) => return Ok(value),
                    Err(Lost::Panicked) => return Err(FlightError::Panicked),
                    Err(Lost::Abandoned | Lost::Disowned) => {}
                },
                Entered::Full => match self.overload {
                    Overload::Bypass => break,
                    Overload::Refuse => return Err(FlightError::Overloaded),
                },
            }
        }
        Ok(work().await)
    }
}

impl<K: Hash + Eq, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> Self {
        Self {
            flights: Arc::clone(&self.flights),
            overload: self.overload,
        }
    }
}

impl<K, V> fmt::Debug for SingleFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight")
            .field("flights", &self.flights)
            .field("overload", &self.overload)
            .finish()
    }
}
