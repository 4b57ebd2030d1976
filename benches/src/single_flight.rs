//! Single flight without a store: what a call costs that nobody shares, and what one costs that follows.

use std::{
    fmt::Display,
    future::poll_fn,
    mem,
    pin::pin,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{AcqRel, Acquire},
        },
    },
};

use larder_coalesce::SingleFlight;
use tokio::{sync::oneshot, task::yield_now};
use uniflight::Merger;

use crate::{
    case::{Case, Group, Measured, Run, in_a_loop, one_by_one},
    rig::fresh,
};

/// Followers of one leader.
const FOLLOWERS: u64 = 1_000;

/// What the leader's work comes to. A follower's own would come to something else.
const LED: u64 = 1;

/// Calls for keys that are not under way, whose work is ready at once.
#[must_use]
pub fn uncontended() -> Vec<Case> {
    let merger: &'static Merger<u64, u64> = Box::leak(Box::new(Merger::new()));
    let flights: &'static SingleFlight<u64, u64> = Box::leak(Box::new(SingleFlight::new()));
    let uniflight = move |key: u64| async move {
        landed(merger.execute(&key, move || async move { key }).await)
    };
    let larder =
        move |key: u64| async move { landed(flights.run(&key, move || async move { key }).await) };
    group("uncontended", 1, "uniflight").cases(vec![
        ("uniflight", "raw", in_a_loop(uniflight)),
        ("uniflight (A/A)", "raw", in_a_loop(uniflight)),
        ("larder SingleFlight", "single-flight", in_a_loop(larder)),
    ])
}

/// Calls that follow: one leader works until they have all joined. Each has a task of its own, whose cost is in it.
/// moka keeps the value besides, since it is a cache.
#[must_use]
pub fn followers() -> Vec<Case> {
    let cache: &'static moka::future::Cache<u64, u64> =
        Box::leak(Box::new(moka::future::Cache::builder().build()));
    let flights: &'static SingleFlight<u64, u64> = Box::leak(Box::new(SingleFlight::new()));
    let moka = move |key: u64, role: Role| async move { cache.get_with(key, work(role)).await };
    let larder = move |key: u64, role: Role| async move {
        landed(flights.run(&key, move || work(role)).await)
    };
    group("1,000 followers", FOLLOWERS, "moka get_with").cases(vec![
        ("moka get_with", "raw", per_follower(moka)),
        ("moka get_with (A/A)", "raw", per_follower(moka)),
        ("larder SingleFlight", "single-flight", per_follower(larder)),
    ])
}

/// What a caller is to the others.
enum Role {
    Leader {
        /// Told when the work begins.
        begun: oneshot::Sender<()>,
        /// How many follow.
        joined: Arc<AtomicU64>,
    },
    Follower,
}

/// A leader's work ends when all have joined it; a follower's is never done.
async fn work(role: Role) -> u64 {
    let Role::Leader { begun, joined } = role else {
        return 0;
    };
    // Nobody waits for it only if the measurement is over.
    let _ = begun.send(());
    while joined.load(Acquire) < FOLLOWERS {
        yield_now().await;
    }
    LED
}

/// Runs flights, and counts an operation for each follower.
fn per_follower<R, Fut>(run: R) -> Run
where
    R: Fn(u64, Role) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = u64> + Send + 'static,
{
    let flights = one_by_one(move |_| flight(run.clone()));
    Arc::new(move |followers| {
        let flights = flights(followers.div_ceil(FOLLOWERS));
        Box::pin(async move {
            let Measured {
                elapsed,
                ns_per_operation,
            } = flights.await;
            Measured {
                elapsed,
                ns_per_operation: ns_per_operation / FOLLOWERS as f64,
            }
        })
    })
}

/// One leader, and then its followers.
async fn flight<R, Fut>(run: R)
where
    R: Fn(u64, Role) -> Fut + Send + Sync,
    Fut: Future<Output = u64> + Send + 'static,
{
    let key = fresh();
    let joined = Arc::new(AtomicU64::new(0));
    let (begun, begins) = oneshot::channel();
    let leader = run(
        key,
        Role::Leader {
            begun,
            joined: Arc::clone(&joined),
        },
    );
    let followers = async {
        begins
            .await
            .unwrap_or_else(|_| panic!("the leader's work never began"));
        let calls: Vec<_> = (0..FOLLOWERS)
            .map(|_| tokio::spawn(counted(Arc::clone(&joined), run(key, Role::Follower))))
            .collect();
        for call in calls {
            assert_eq!(landed(call.await), LED, "a follower worked by itself");
        }
    };
    tokio::join!(leader, followers);
}

/// Counts the call when it was polled once: by then it has joined.
async fn counted<F: Future>(joined: Arc<AtomicU64>, call: F) -> F::Output {
    let mut call = pin!(call);
    let mut is_first = true;
    poll_fn(move |context| {
        let polled = call.as_mut().poll(context);
        if mem::take(&mut is_first) {
            joined.fetch_add(1, AcqRel);
        }
        polled
    })
    .await
}

fn landed<T, E: Display>(outcome: Result<T, E>) -> T {
    outcome.unwrap_or_else(|error| panic!("a flight failed: {error}"))
}

fn group(name: &str, tasks: u64, baseline: &'static str) -> Group {
    Group {
        name: format!("single-flight/{name}"),
        store: "",
        tasks,
        bytes: 0,
        baseline,
    }
}
