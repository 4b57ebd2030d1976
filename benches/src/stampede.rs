//! Stampedes: many tasks read one cold key at once. An operation is a whole stampede, from the first read to the last
//! answer.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use larder_cache::Loader;
use larder_cache_aside::CacheAside;
use larder_coalesce::Coalesce;
use larder_memory::MemoryStore;
use larder_store::Store;

use crate::{
    case::{Case, Group, Run, one_by_one},
    rig::{KEYS, answer, fresh, redis_store, unused},
    textbook_lock::TextbookLock,
    value::{Sample, User},
};

/// Readers of one key.
const TASKS: u64 = 64;

/// What a load takes, in whole ticks of tokio's timer: up to a millisecond more.
const LOAD: Duration = Duration::from_millis(1);

const TTL: Duration = Duration::from_secs(60);

/// Stampedes over the memory store.
///
/// # Errors
/// Never with the settings used here.
pub fn memory() -> Result<Vec<Case>> {
    let store: Arc<dyn Store> = MemoryStore::new(KEYS).into();
    Ok(group("memory").cases(vec![
        ("larder cache-aside", "cache-aside", uncoalesced(&store)?),
        (
            "larder cache-aside (A/A)",
            "cache-aside",
            uncoalesced(&store)?,
        ),
        ("larder coalesce", "coalesce", coalesced(&store)?),
    ]))
}

/// Stampedes over Redis.
///
/// # Errors
/// Those of Redis.
pub async fn redis(url: &str) -> Result<Vec<Case>> {
    let store: Arc<dyn Store> = redis_store(url).await?.into();
    Ok(group("redis").cases(vec![
        ("larder cache-aside", "cache-aside", uncoalesced(&store)?),
        (
            "larder cache-aside (A/A)",
            "cache-aside",
            uncoalesced(&store)?,
        ),
        ("textbook lock", "textbook", locked(url).await?),
        ("larder coalesce", "coalesce", coalesced(&store)?),
    ]))
}

/// A slow origin that counts its loads.
#[derive(Debug, Clone, Default)]
struct Origin {
    loads: Arc<AtomicU64>,
}

impl Origin {
    async fn load(&self, id: u64) -> Result<Option<User>, Infallible> {
        self.loads.fetch_add(1, Relaxed);
        tokio::time::sleep(LOAD).await;
        Ok(Some(User::sample(id)))
    }

    fn loads(&self) -> u64 {
        self.loads.load(Relaxed)
    }

    fn loader(self) -> impl Loader<u64, User> {
        move |id: u64| {
            let origin = self.clone();
            async move { origin.load(id).await }
        }
    }
}

/// No coalescing: whoever misses loads.
fn uncoalesced(store: &Arc<dyn Store>) -> Result<Run> {
    let origin = Origin::default();
    let cache: CacheAside<u64, User> = CacheAside::builder(Arc::clone(store), &unused("aside"))
        .ttl(TTL)
        .build(origin.clone().loader())?;
    Ok(stampede(origin, TASKS, move |id| {
        let cache = cache.clone();
        async move { answer(cache.get(&id).await) }
    }))
}

/// One load for all, which is asserted.
fn coalesced(store: &Arc<dyn Store>) -> Result<Run> {
    let origin = Origin::default();
    let cache: Coalesce<u64, User> = Coalesce::builder(Arc::clone(store), &unused("coalesce"))
        .ttl(TTL)
        .build(origin.clone().loader())?;
    Ok(stampede(origin, 1, move |id| {
        let cache = cache.clone();
        async move { answer(cache.get(&id).await) }
    }))
}

/// One load for all as a rule, by its races a few.
async fn locked(url: &str) -> Result<Run> {
    let origin = Origin::default();
    let textbook = TextbookLock::connect(url, &unused("lock"), TTL).await;
    let textbook = textbook.map_err(anyhow::Error::from_boxed)?;
    let loads = origin.clone();
    Ok(stampede(loads, TASKS, move |id| {
        let (textbook, origin) = (textbook.clone(), origin.clone());
        async move {
            let read = textbook.get(id, origin.load(id)).await;
            let (user, _) = read.unwrap_or_else(|error| panic!("a textbook read failed: {error}"));
            user.unwrap_or_else(|| panic!("the textbook has no user {id}"))
        }
    }))
}

/// All tasks read a key that was never read before, with no more loads than that.
fn stampede<R, Fut>(origin: Origin, most_loads: u64, read: R) -> Run
where
    R: Fn(u64) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = User> + Send + 'static,
{
    one_by_one(move |_| {
        let (origin, read) = (origin.clone(), read.clone());
        async move {
            let id = fresh();
            let before = origin.loads();
            let reads: Vec<_> = (0..TASKS).map(|_| tokio::spawn(read(id))).collect();
            let expected = User::sample(id);
            for read in reads {
                let user = read.await.unwrap_or_else(|error| panic!("a read: {error}"));
                assert_eq!(user, expected, "a read was answered with something else");
            }
            let loads = origin.loads() - before;
            let expected = 1..=most_loads;
            assert!(expected.contains(&loads), "{loads} loads of one key");
        }
    })
}

fn group(store: &'static str) -> Group {
    Group {
        name: format!("stampede/{store}/{TASKS} tasks"),
        store,
        // One stampede at a time.
        tasks: 1,
        bytes: 64,
        baseline: "larder cache-aside",
    }
}
