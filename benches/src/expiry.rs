//! Entries about to expire: what a read of a due entry costs beside one of a fresh entry.
//!
//! Waiting for a TTL to end would measure the waiting, so the entries here are due from the start.

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use larder_cache::Loader;
use larder_memory::MemoryStore;
use larder_refresh_ahead::RefreshAhead;
use larder_store::Store;
use tokio::task::yield_now;

use crate::{
    case::{Case, Group, Run, in_a_loop, one_by_one},
    rig::{KEYS, answer, redis_store, unused},
    textbook_refresh::TextbookRefresh,
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
    let store = || MemoryStore::new(KEYS);
    let fresh = hot(store(), 0.8, always()).await?;
    let due = due_for_long(store()).await?;
    let refreshed = hot(store(), 0.0, always()).await?;
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
    Ok(group("memory").cases(vec![
        (
            "larder refresh-ahead, fresh",
            "refresh-ahead",
            in_a_loop(fresh),
        ),
        (
            "larder refresh-ahead, fresh (A/A)",
            "refresh-ahead",
            in_a_loop(fresh),
        ),
        ("larder refresh-ahead, due", "refresh-ahead", in_a_loop(due)),
        (
            "larder refresh-ahead, refreshed",
            "refresh-ahead",
            one_by_one(refreshed),
        ),
    ]))
}

/// The same over Redis, beside the textbook's; each of whose reads of a due entry starts a reload.
///
/// # Errors
/// Those of Redis.
pub async fn redis(url: &str) -> Result<Vec<Case>> {
    let fresh = hot(redis_store(url).await?, 0.8, always()).await?;
    let due = due_for_long(redis_store(url).await?).await?;
    let fresh = move |_: u64| async move { answer(fresh.get(&HOT).await) };
    let due = move |_: u64| async move { answer(due.get(&HOT).await) };
    Ok(group("redis").cases(vec![
        (
            "larder refresh-ahead, fresh",
            "refresh-ahead",
            one_by_one(fresh),
        ),
        (
            "larder refresh-ahead, fresh (A/A)",
            "refresh-ahead",
            one_by_one(fresh),
        ),
        (
            "larder refresh-ahead, due",
            "refresh-ahead",
            one_by_one(due),
        ),
        (
            "textbook refresh, fresh",
            "textbook",
            textbook(url, Duration::ZERO).await?,
        ),
        (
            "textbook refresh, due",
            "textbook",
            textbook(url, 2 * LONG).await?,
        ),
    ]))
}

/// The textbook's, due below this threshold.
async fn textbook(url: &str, threshold: Duration) -> Result<Run> {
    let textbook = TextbookRefresh::connect(url, &unused("hot"), LONG, threshold).await;
    let textbook = textbook.map_err(anyhow::Error::from_boxed)?;
    Ok(one_by_one(move |_| {
        let textbook = textbook.clone();
        async move {
            let load = async { Ok::<_, io::Error>(Some(User::sample(HOT))) };
            let read = textbook.get(HOT, load).await;
            let (user, _) = read.unwrap_or_else(|error| panic!("a textbook read failed: {error}"));
            user.unwrap_or_else(|| panic!("the textbook has no hot key"))
        }
    }))
}

fn group(store: &'static str) -> Group {
    Group {
        name: format!("expiry/{store}/64 B"),
        store,
        tasks: 1,
        bytes: 64,
        baseline: "larder refresh-ahead, fresh",
    }
}

/// A cache whose hot key is due, and whose refresh is under way and never ends.
async fn due_for_long(store: impl Into<Arc<dyn Store>>) -> Result<Hot> {
    let due = hot(store, 0.0, once()).await?;
    due.get(&HOT).await?;
    anyhow::ensure!(due.refreshing() == 1, "the refresh was not started");
    Ok(due)
}

/// A cache with the hot key in it, due at this share of its TTL.
async fn hot(
    store: impl Into<Arc<dyn Store>>,
    due: f64,
    loader: impl Loader<u64, User>,
) -> Result<Hot> {
    let cache: RefreshAhead<u64, User> = RefreshAhead::builder(store, &unused("hot"))
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
