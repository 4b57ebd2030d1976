//! Entries about to expire: what a read of a due entry costs beside one of a fresh entry.
//!
//! Waiting for a TTL to end would measure the waiting, so the entries here are due from the start.

use std::{
    future::pending,
    io,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use anyhow::Result;
use larder_cache::Loader;
use larder_memory::MemoryStore;
use larder_refresh_ahead::RefreshAhead;
use tokio::task::yield_now;

use crate::{
    case::{Case, Run, in_a_loop, one_by_one},
    rig::{KEYS, answer},
    value::{Sample, User},
};

/// The hot key.
const HOT: u64 = 0;

/// So long that nothing ends while it is measured.
const LONG: Duration = Duration::from_secs(3600);

type Hot = &'static RefreshAhead<u64, User>;

/// Reads of one hot key over the memory store: fresh; due, while somebody's read has started the refresh already; and
/// due with a refresh for each read, from the read to the refresh's end.
///
/// # Errors
/// If a cache can't be filled.
pub async fn memory() -> Result<Vec<Case>> {
    let fresh = hot(0.8, always()).await?;
    let due = hot(0.0, once()).await?;
    due.get(&HOT).await?;
    anyhow::ensure!(due.refreshing() == 1, "the refresh was not started");
    let refreshed = hot(0.0, always()).await?;
    let fresh = move |_: u64| async move { answer(fresh.get(&HOT).await) };
    let due = move |_: u64| async move { answer(due.get(&HOT).await) };
    let refreshed = move |_: u64| async move {
        let before = refreshed.stats().refreshed;
        let user = answer(refreshed.get(&HOT).await);
        while refreshed.refreshing() > 0 {
            yield_now().await;
        }
        let after = refreshed.stats().refreshed;
        assert_eq!(after, before + 1, "the entry was not refreshed");
        user
    };
    let case = |name: &str, run: Run| Case {
        group: "expiry/memory/64 B".to_owned(),
        name: name.to_owned(),
        pattern: "refresh-ahead",
        store: "memory",
        tasks: 1,
        bytes: 64,
        baseline: "larder refresh-ahead, fresh",
        run,
    };
    Ok(vec![
        case("larder refresh-ahead, fresh", in_a_loop(fresh)),
        case("larder refresh-ahead, fresh (A/A)", in_a_loop(fresh)),
        case("larder refresh-ahead, due", in_a_loop(due)),
        case("larder refresh-ahead, refreshed", one_by_one(refreshed)),
    ])
}

/// A cache with the hot key in it, due at this share of its TTL.
async fn hot(due: f64, loader: impl Loader<u64, User>) -> Result<Hot> {
    let cache: RefreshAhead<u64, User> = RefreshAhead::builder(MemoryStore::new(KEYS), "hot")
        .ttl(LONG)
        .load_timeout(LONG)
        .refresh_at(due)
        .build(loader)?;
    cache.get(&HOT).await?;
    Ok(Box::leak(Box::new(cache)))
}

/// Loads at once.
fn always() -> impl Loader<u64, User> {
    |id: u64| async move { Ok::<_, io::Error>(Some(User::sample(id))) }
}

/// Loads at once the first time, and never comes to an end after that.
fn once() -> impl Loader<u64, User> {
    let asked = AtomicBool::new(false);
    move |id: u64| {
        let again = asked.swap(true, Relaxed);
        async move {
            if again {
                pending::<()>().await;
            }
            Ok::<_, io::Error>(Some(User::sample(id)))
        }
    }
}
