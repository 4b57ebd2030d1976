//! A hot key that never misses: refresh-ahead loads it again before it expires. Beside it cache-aside, whose callers
//! wait at each expiry, and the textbook's refresh-ahead, whose callers don't wait and whose database does the work.
//!
//! `cargo run -p larder-examples --example refresh`
//!
//! The textbook's row needs Redis: the server at `REDIS_URL`, or one of its own. Without one it is left out.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use larder_cache::{Cache, Source};
use larder_cache_aside::CacheAside;
use larder_memory::MemoryStore;
use larder_refresh_ahead::RefreshAhead;
use larder_testing::RedisServer;
use redis::{AsyncCommands as _, aio::MultiplexedConnection};
use tokio::{task::JoinSet, time::sleep};

const TTL: Duration = Duration::from_secs(1);
const LOAD: Duration = Duration::from_millis(100);

/// The share of the TTL after which an entry is due, and what is left of it then.
const DUE: f64 = 0.7;
const WINDOW: Duration = Duration::from_millis(300);

/// How many tasks read the key, how long, and how long each rests between two reads.
const READERS: usize = 4;
const READING: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_millis(1);

const ARTICLE: u64 = 7;

/// The textbook's key.
const KEY: &str = "refresh:textbook:price";

/// A slow query.
async fn price(article: u64) -> io::Result<Option<u64>> {
    sleep(LOAD).await;
    Ok(Some(article * 100))
}

// ANCHOR: textbook
/// Refresh-ahead as it is usually written: GET and PTTL; near the end a task loads and does PSETEX, while the reader
/// returns what it has.
async fn textbook_get(textbook: &Textbook) -> anyhow::Result<u64> {
    let mut redis = textbook.redis.clone();
    let cached: Option<u64> = redis.get(KEY).await?;
    let left: i64 = redis.pttl(KEY).await?;
    let Some(cached) = cached else {
        return textbook_reload(textbook.clone()).await;
    };
    if left < WINDOW.as_millis() as i64 {
        tokio::spawn(textbook_reload(textbook.clone()));
    }
    Ok(cached)
}

async fn textbook_reload(mut textbook: Textbook) -> anyhow::Result<u64> {
    textbook.loads.fetch_add(1, Relaxed);
    let loaded = price(ARTICLE).await?.context("no price")?;
    let ttl = TTL.as_millis() as u64;
    let _: () = textbook.redis.pset_ex(KEY, loaded, ttl).await?;
    Ok(loaded)
}
// ANCHOR_END: textbook

#[derive(Clone)]
struct Textbook {
    redis: MultiplexedConnection,
    loads: Arc<AtomicU64>,
}

impl Textbook {
    async fn connect(url: &str) -> anyhow::Result<Self> {
        let client = redis::Client::open(url)?;
        Ok(Self {
            redis: client.get_multiplexed_async_connection().await?,
            loads: Arc::default(),
        })
    }

    /// A shared Redis may hold what an earlier run left there, and keeps nothing of this one.
    async fn clear(&mut self) -> anyhow::Result<()> {
        let _: () = self.redis.del(KEY).await?;
        Ok(())
    }
}

/// What is read.
#[derive(Clone)]
enum Subject {
    Larder(Arc<dyn Cache<u64, u64>>),
    Textbook(Textbook),
}

impl Subject {
    /// Reads the key, and says whether that took a load, be it this caller's own or another one's.
    async fn read(&self) -> anyhow::Result<bool> {
        match self {
            Self::Larder(cache) => {
                let answer = cache.fetch(&ARTICLE).await?;
                Ok(answer.source != Source::Store)
            }
            Self::Textbook(textbook) => {
                let asked = Instant::now();
                textbook_get(textbook).await?;
                Ok(asked.elapsed() >= LOAD)
            }
        }
    }

    fn loads(&self) -> u64 {
        match self {
            Self::Larder(cache) => cache.stats().loads,
            Self::Textbook(textbook) => textbook.loads.load(Relaxed),
        }
    }
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
            "{what:<24}{:>8}{:>8}{:>10}{:>16}",
            self.reads,
            self.loads,
            self.waited,
            format!("{:.1} ms", self.slowest.as_secs_f64() * 1e3)
        );
    }
}

/// One reader.
async fn read(subject: Subject) -> anyhow::Result<Figures> {
    let mut seen = Figures::default();
    let start = Instant::now();
    while start.elapsed() < READING {
        let asked = Instant::now();
        let waited = subject.read().await?;
        seen.slowest = seen.slowest.max(asked.elapsed());
        seen.waited += u64::from(waited);
        seen.reads += 1;
        sleep(REST).await;
    }
    Ok(seen)
}

/// All readers of one cache, whatever its pattern.
async fn read_all_the_time(subject: Subject) -> anyhow::Result<Figures> {
    subject.read().await?;
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(read(subject.clone()));
    }
    let mut all = Figures::default();
    for seen in readers.join_all().await {
        let seen = seen?;
        all.reads += seen.reads;
        all.waited += seen.waited;
        all.slowest = all.slowest.max(seen.slowest);
    }
    all.loads = subject.loads();
    Ok(all)
}

/// The textbook's readers.
async fn read_by_the_textbook(url: &str) -> anyhow::Result<Figures> {
    let mut textbook = Textbook::connect(url).await?;
    textbook.clear().await?;
    let figures = read_all_the_time(Subject::Textbook(textbook.clone())).await?;
    // Its last reloads are under way.
    sleep(LOAD * 2).await;
    textbook.clear().await?;
    Ok(figures)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // ANCHOR: ahead
    let ahead = RefreshAhead::<u64, u64>::builder(MemoryStore::new(100), "price")
        .ttl(TTL)
        .jitter(0.0)
        .refresh_at(DUE)
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
        read_all_the_time(Subject::Larder(Arc::new(ahead.clone()))),
        read_all_the_time(Subject::Larder(Arc::new(aside.clone()))),
    )?;
    // The server is stopped when this is dropped.
    let mut own = None;
    let url = match std::env::var("REDIS_URL") {
        Ok(url) => Ok(url),
        Err(_unset) => RedisServer::start()
            .await
            .map(|server| own.insert(server).url()),
    };
    println!(
        "{:<24}{:>8}{:>8}{:>10}{:>16}",
        "", "reads", "loads", "waited", "slowest read"
    );
    with.show("refresh-ahead");
    without.show("cache-aside");
    let textbook = match url {
        Ok(url) => {
            let figures = read_by_the_textbook(&url).await?;
            figures.show("textbook refresh-ahead");
            "The textbook's callers don't wait either: each read near the end starts a load of its own."
                .to_owned()
        }
        Err(error) => format!("The textbook's refresh-ahead is left out: {error}"),
    };

    ensure!(with.loads > 1, "nothing was refreshed");
    ensure!(without.waited > 0, "cache-aside's entry never expired");
    // Unless this machine stood still between the refresh and the end of the TTL.
    ensure!(
        with.waited == 0,
        "{} callers of refresh-ahead waited",
        with.waited
    );
    println!(
        "\nAfter the first read no caller of refresh-ahead waited for a load, and each period had one."
    );
    println!("{textbook}");
    ahead.shutdown().await?;
    aside.shutdown().await?;
    Ok(())
}
