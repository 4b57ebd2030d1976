//! The race of textbook cache-aside, forced: a reader loads before a write and stores after it. Then the same
//! interleaving through Larder.
//!
//! `cargo run -p larder-examples --example race`

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use larder_cache_aside::CacheAside;
use larder_memory::MemoryStore;
use larder_store::{Namespace, Store};
use larder_testing::Gate;

/// A row with a version number, read by a query that can be held back after it has read.
#[derive(Clone)]
struct Row {
    version: Arc<AtomicU64>,
    held_back: Gate,
}

impl Row {
    fn new() -> Self {
        Self {
            version: Arc::new(AtomicU64::new(1)),
            held_back: Gate::new(),
        }
    }

    async fn read(&self) -> u64 {
        let version = self.version.load(Relaxed);
        self.held_back.pass().await;
        version
    }

    fn write(&self, version: u64) {
        self.version.store(version, Relaxed);
    }
}

// ANCHOR: textbook
/// Cache-aside as it is usually written: GET, load, SETEX.
async fn textbook_get(store: &dyn Store, row: &Row) -> anyhow::Result<u64> {
    let key = Namespace::new("textbook", 1)?.key("row")?;
    if let Some(cached) = store.get(&key).await? {
        return Ok(std::str::from_utf8(&cached)?.parse()?);
    }
    let version = row.read().await;
    let ttl = Some(Duration::from_secs(300));
    store.set(&key, version.to_string().into(), ttl).await?;
    Ok(version)
}

/// And DEL after the commit.
async fn textbook_write(store: &dyn Store, row: &Row, version: u64) -> anyhow::Result<()> {
    row.write(version);
    let key = Namespace::new("textbook", 1)?.key("row")?;
    store.delete(&[key]).await?;
    Ok(())
}
// ANCHOR_END: textbook

async fn textbook() -> anyhow::Result<u64> {
    let store = Arc::new(MemoryStore::new(100));
    let row = Row::new();
    let reader = {
        let (store, row) = (Arc::clone(&store), row.clone());
        tokio::spawn(async move { textbook_get(&store, &row).await })
    };
    row.held_back.reached().await;
    textbook_write(&store, &row, 2).await?;
    row.held_back.open();
    assert_eq!(
        reader.await??,
        1,
        "the reader itself began before the write"
    );
    textbook_get(&store, &row).await
}

async fn larder() -> anyhow::Result<u64> {
    let row = Row::new();
    let database = row.clone();
    let rows = CacheAside::<u64, u64>::builder(MemoryStore::new(100), "row").build(move |_id| {
        let database = database.clone();
        async move { Ok::<_, io::Error>(Some(database.read().await)) }
    })?;
    let reader = {
        let rows = rows.clone();
        tokio::spawn(async move { rows.get(&1).await })
    };
    row.held_back.reached().await;
    row.write(2);
    rows.invalidate(&1).await?;
    row.held_back.open();
    assert_eq!(
        reader.await??,
        Some(1),
        "the reader itself began before the write"
    );
    assert_eq!(rows.stats().superseded, 1, "what it loaded was not stored");
    rows.get(&1).await?.ok_or_else(|| anyhow::anyhow!("no row"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    println!("a reader misses and reads version 1; a writer commits version 2 and invalidates;");
    println!("the reader goes on. Who reads after that sees:\n");
    let textbook = textbook().await?;
    println!("textbook cache-aside  version {textbook}, until the TTL ends");
    assert_eq!(textbook, 1);
    let larder = larder().await?;
    println!("larder cache-aside    version {larder}");
    assert_eq!(larder, 2);
    Ok(())
}
