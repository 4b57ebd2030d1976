//! What cache-aside does beyond `get`: provenance, negative entries, stale entries, writes, warming, and a store
//! that is down.
//!
//! `cargo run -p larder-examples --example cache-aside`

use std::{
    error::Error as _,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

// ANCHOR: use
use larder_cache_aside::{
    CacheAside, CacheState, ErrorKind, Freshness, Loader, Source, WriteError, async_trait,
};
use larder_memory::MemoryStore;
// ANCHOR_END: use
use larder_store::ErrorKind as StoreErrorKind;
use larder_testing::FaultStore;
use tokio::time::sleep;

/// A database that has the even ids, and can be down.
#[derive(Clone, Default)]
struct Users {
    down: Arc<AtomicBool>,
}

// ANCHOR: loader
#[async_trait]
impl Loader<u64, String> for Users {
    type Error = io::Error;

    async fn load(&self, id: &u64) -> Result<Option<String>, io::Error> {
        self.connect()?;
        Ok(id.is_multiple_of(2).then(|| format!("user {id}")))
    }

    // Instead of the keyspace's TTL, where a value asks for another one.
    fn ttl(&self, id: &u64, _user: Option<&String>) -> Option<Duration> {
        (*id == 0).then_some(Duration::from_secs(1))
    }
}
// ANCHOR_END: loader

impl Users {
    fn connect(&self) -> io::Result<()> {
        if self.down.load(Relaxed) {
            return Err(io::Error::other("the database is down"));
        }
        Ok(())
    }

    async fn insert(&self, _id: u64) -> io::Result<()> {
        self.connect()
    }
}

async fn closures() -> anyhow::Result<()> {
    let store = MemoryStore::new(100);
    // ANCHOR: closure
    let squares = CacheAside::<u64, u64>::builder(store, "square")
        .build(|n: u64| async move { Ok::<_, io::Error>(Some(n * n)) })?;
    assert_eq!(squares.get(&12).await?, Some(144));
    // ANCHOR_END: closure
    println!("a closure is a loader");
    Ok(())
}

async fn provenance() -> anyhow::Result<()> {
    let users =
        CacheAside::<u64, String>::builder(MemoryStore::new(100), "user").build(Users::default())?;
    // ANCHOR: fetch
    let loaded = users.fetch(&42).await?;
    assert_eq!(loaded.source, Source::Loader);

    let hit = users.fetch(&42).await?;
    assert_eq!(hit.source, Source::Store);
    assert_eq!(hit.freshness, Freshness::Fresh);
    assert!(hit.store_error.is_none());
    println!("{:?} from the store, {:?} left", hit.value, hit.ttl_left);
    // ANCHOR_END: fetch
    assert!(hit.ttl_left > Duration::from_secs(200));
    Ok(())
}

async fn negative_entries() -> anyhow::Result<()> {
    let database = Users::default();
    // ANCHOR: negative
    let users = CacheAside::<u64, String>::builder(MemoryStore::new(100), "user")
        .negative_ttl(Duration::from_secs(30))
        .build(database.clone())?;
    assert_eq!(users.get(&1).await?, None);
    assert_eq!(users.get(&1).await?, None);
    assert_eq!(users.stats().loads, 1);

    // A row that is created may have a negative entry.
    database.insert(1).await?;
    users.invalidate(&1).await?;
    // ANCHOR_END: negative
    println!("two reads of a missing user, {} load", users.stats().loads);
    Ok(())
}

async fn stale_entries() -> anyhow::Result<()> {
    let database = Users::default();
    // ANCHOR: stale
    let users = CacheAside::<u64, String>::builder(MemoryStore::new(100), "user")
        .ttl(Duration::from_millis(20))
        .grace(Duration::from_secs(3600))
        .soft_timeout(Duration::from_millis(200))
        .build(database.clone())?;
    users.get(&42).await?;

    sleep(Duration::from_millis(40)).await;
    database.down.store(true, Relaxed);
    let stale = users.fetch(&42).await?;
    assert_eq!(stale.freshness, Freshness::Stale);
    let why = stale.load_error.expect("the loader failed");
    assert!(why.loader_error::<io::Error>().is_some());
    // ANCHOR_END: stale
    println!("{:?} though the loader failed", stale.value);
    Ok(())
}

async fn writes() -> anyhow::Result<()> {
    let database = Users::default();
    let users = CacheAside::<u64, String>::builder(MemoryStore::new(100), "user")
        .build(database.clone())?;
    // ANCHOR: write
    let written = users.write(&42, database.insert(42)).await?;
    match written.cache {
        CacheState::Invalidated => println!("committed, and no reader sees the old value"),
        CacheState::Deferred(error) => println!("committed, but the store: {error}"),
        _ => {}
    }

    // A writer that knows that nothing was changed says so: the key is free at once.
    let refused = users
        .write(&42, async {
            Err::<(), _>(WriteError::rolled_back("the balance would be negative"))
        })
        .await
        .expect_err("rolled back");
    assert_eq!(refused.kind(), ErrorKind::Writer);
    // ANCHOR_END: write
    Ok(())
}

async fn warming() -> anyhow::Result<()> {
    let users = CacheAside::<u64, String>::builder(MemoryStore::new(1000), "user")
        .build(Users::default())?;
    // ANCHOR: warm
    let warmed = users
        .warm((0..500).map(|n| n * 2))
        .batch(100)
        .concurrency(2)
        .on_progress(|progress| println!("warmed {} of {}", progress.done, progress.total))
        .run()
        .await;
    assert_eq!((warmed.loaded, warmed.failed), (500, 0));
    // ANCHOR_END: warm
    Ok(())
}

async fn outage() -> anyhow::Result<()> {
    let store = FaultStore::new(MemoryStore::new(100));
    let users = CacheAside::<u64, String>::builder(store.clone(), "user").build(Users::default())?;
    users.get(&42).await?;
    store.down(Some(StoreErrorKind::Unavailable));
    // ANCHOR: outage
    // The store is down: reads go to the loader.
    let fetched = users.fetch(&42).await?;
    assert_eq!(fetched.source, Source::Loader);
    assert!(fetched.store_error.is_some());

    // An invalidation is put off, and the caller is told.
    let deferred = users.invalidate(&42).await.expect_err("down");
    assert_eq!(deferred.kind(), ErrorKind::Deferred);
    assert_eq!(users.deferred(), 1);
    // ANCHOR_END: outage
    // ANCHOR: chain
    // With anyhow all of it in one line, or cause by cause.
    println!("store down: {:#}", anyhow::Error::from(deferred.clone()));
    for cause in std::iter::successors(deferred.source(), |cause| (*cause).source()) {
        println!("    because: {cause}");
    }
    // ANCHOR_END: chain
    store.down(None);
    users.shutdown().await?;
    assert_eq!(users.deferred(), 0);
    let after = users.fetch(&42).await?;
    assert_eq!(after.source, Source::Loader, "the old entry is gone");
    println!("store back: the invalidation was sent");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    closures().await?;
    provenance().await?;
    negative_entries().await?;
    stale_entries().await?;
    writes().await?;
    warming().await?;
    outage().await
}
