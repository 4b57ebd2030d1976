//! A hot key that never misses: refresh-ahead loads it again before it expires. Beside it cache-aside, whose callers
//! wait at each expiry.
//!
//! `cargo run -p larder-examples --example refresh`

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use larder_cache::{Cache, Source};
use larder_cache_aside::CacheAside;
use larder_memory::MemoryStore;
use larder_refresh_ahead::RefreshAhead;
use tokio::{task::JoinSet, time::sleep};

const TTL: Duration = Duration::from_secs(1);
const LOAD: Duration = Duration::from_millis(100);

/// How many tasks read the key, how long, and how long each rests between two reads.
const READERS: usize = 4;
const READING: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_millis(1);

const ARTICLE: u64 = 7;

/// A slow query.
async fn price(article: u64) -> io::Result<Option<u64>> {
    sleep(LOAD).await;
    Ok(Some(article * 100))
}

/// What the readers met with after the first read.
#[derive(Default)]
struct Figures {
    reads: u64,
    /// Reads that waited for a load, be it their own or another caller's.
    waited: u64,
    slowest: Duration,
    /// The first one included.
    loads: u64,
}

impl Figures {
    fn show(&self, what: &str) {
        println!(
            "{what:<16}{:>8}{:>8}{:>10}{:>16}",
            self.reads,
            self.loads,
            self.waited,
            format!("{:.1} ms", self.slowest.as_secs_f64() * 1e3)
        );
    }
}

/// One reader.
async fn read(cache: Arc<dyn Cache<u64, u64>>) -> anyhow::Result<Figures> {
    let mut seen = Figures::default();
    let start = Instant::now();
    while start.elapsed() < READING {
        let asked = Instant::now();
        let answer = cache.fetch(&ARTICLE).await?;
        seen.slowest = seen.slowest.max(asked.elapsed());
        seen.waited += u64::from(answer.source != Source::Store);
        seen.reads += 1;
        sleep(REST).await;
    }
    Ok(seen)
}

/// All readers of one cache, whatever its pattern.
async fn read_all_the_time(cache: Arc<dyn Cache<u64, u64>>) -> anyhow::Result<Figures> {
    cache.get(&ARTICLE).await?;
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(read(Arc::clone(&cache)));
    }
    let mut all = Figures::default();
    for seen in readers.join_all().await {
        let seen = seen?;
        all.reads += seen.reads;
        all.waited += seen.waited;
        all.slowest = all.slowest.max(seen.slowest);
    }
    all.loads = cache.stats().loads;
    Ok(all)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // ANCHOR: ahead
    let ahead = RefreshAhead::<u64, u64>::builder(MemoryStore::new(100), "price")
        .ttl(TTL)
        .jitter(0.0)
        .refresh_at(0.7)
        .build(price)?;
    // ANCHOR_END: ahead
    let aside = CacheAside::<u64, u64>::builder(MemoryStore::new(100), "price")
        .ttl(TTL)
        .jitter(0.0)
        .build(price)?;

    println!(
        "{READERS} tasks read one key for {READING:?}; its TTL is {TTL:?}, a load takes {LOAD:?}.\n"
    );
    let (with, without) = tokio::try_join!(
        read_all_the_time(Arc::new(ahead.clone())),
        read_all_the_time(Arc::new(aside.clone())),
    )?;
    println!(
        "{:<16}{:>8}{:>8}{:>10}{:>16}",
        "", "reads", "loads", "waited", "slowest read"
    );
    with.show("refresh-ahead");
    without.show("cache-aside");

    ensure!(with.loads > 1, "nothing was refreshed");
    ensure!(without.waited > 0, "cache-aside's entry never expired");
    // Unless this machine stood still between the refresh and the end of the TTL.
    ensure!(
        with.waited == 0,
        "{} callers of refresh-ahead waited",
        with.waited
    );
    println!("\nAfter the first read no caller of refresh-ahead waited for a load.");
    ahead.shutdown().await?;
    aside.shutdown().await?;
    Ok(())
}
