//! Writes: what a database write costs with the cache told of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use larder_cache_aside::{CacheAside, CacheState};
use larder_memory::MemoryStore;
use larder_store::{BoxError, Store};
use larder_write_through::{NoWriter, WriteError, WriteThrough, Writer, async_trait};

use crate::{
    case::{Case, Group, Run, one_by_one},
    misses::Origin,
    rig::{KEYS, redis_store, unused},
    textbook::{Textbook, TextbookOverStore},
    textbook_write::TextbookWrite,
    value::{Sample, User},
};

const TTL: Duration = Duration::from_secs(60);
/// So long that nothing expires while it is measured.
const LONG: Duration = Duration::from_secs(3600);

/// The rows of the origin: they have their keys already, and stay.
struct Rows(Origin);

#[async_trait]
impl Writer<u64, User> for Rows {
    type Error = WriteError;

    async fn create(&self, _user: &User) -> Result<u64, WriteError> {
        Err(WriteError::rolled_back("the rows are there already"))
    }

    async fn update(&self, _id: &u64, user: User) -> Result<Option<User>, WriteError> {
        Ok(Some(self.0.update(user).await?))
    }

    async fn delete(&self, _id: &u64) -> Result<(), WriteError> {
        Err(WriteError::rolled_back("the rows stay"))
    }
}

/// Writes with a cache in the memory store.
///
/// # Errors
/// Those of SQLite.
pub async fn memory() -> Result<Vec<Case>> {
    let origin = Origin::open().await?;
    let textbook = TextbookOverStore::new(MemoryStore::new(KEYS), "textbook", TTL);
    let textbook = textbook.map_err(anyhow::Error::from_boxed)?;
    let told = {
        let origin = origin.clone();
        run(move |id| {
            let (textbook, origin) = (textbook.clone(), origin.clone());
            async move {
                origin.update(User::sample(id)).await?;
                textbook.invalidate(id).await
            }
        })
    };
    let mut runs = vec![
        ("no cache", "none", no_cache(&origin)),
        ("no cache (A/A)", "none", no_cache(&origin)),
        ("textbook cache-aside", "textbook", told),
    ];
    runs.extend(larder(&MemoryStore::new(10 * KEYS).into(), &origin).await?);
    Ok(group("memory").cases(runs))
}

/// Writes with a cache in Redis.
///
/// # Errors
/// Those of SQLite and of Redis.
pub async fn redis(url: &str) -> Result<Vec<Case>> {
    let origin = Origin::open().await?;
    let aside = Textbook::connect(url, &unused("textbook-aside"), TTL).await;
    let aside = aside.map_err(anyhow::Error::from_boxed)?;
    let through = TextbookWrite::connect(url, &unused("textbook-through"), TTL).await;
    let through = through.map_err(anyhow::Error::from_boxed)?;
    let deleted = {
        let origin = origin.clone();
        run(move |id| {
            let (textbook, origin) = (aside.clone(), origin.clone());
            async move {
                origin.update(User::sample(id)).await?;
                textbook.invalidate(id).await
            }
        })
    };
    let set = {
        let origin = origin.clone();
        run(move |id| {
            let (textbook, origin) = (through.clone(), origin.clone());
            async move {
                let user = User::sample(id);
                let update = origin.update(user.clone());
                textbook.write(id, &user, update).await.map(drop)
            }
        })
    };
    let mut runs = vec![
        ("no cache", "none", no_cache(&origin)),
        ("no cache (A/A)", "none", no_cache(&origin)),
        ("textbook cache-aside", "textbook", deleted),
        ("textbook write-through", "textbook", set),
    ];
    runs.extend(larder(&redis_store(url).await?.into(), &origin).await?);
    Ok(group("redis").cases(runs))
}

/// The bracket with and without a value at its end, and the row put after its commit.
async fn larder(
    store: &Arc<dyn Store>,
    origin: &Origin,
) -> Result<Vec<(&'static str, &'static str, Run)>> {
    let loader = origin.clone();
    let load = move |id: u64| {
        let origin = loader.clone();
        async move { origin.load(id).await }
    };
    let cache: CacheAside<u64, User> = CacheAside::builder(Arc::clone(store), &unused("write"))
        .ttl(TTL)
        .build(load)?;
    let through = WriteThrough::builder(Arc::clone(store), &unused("write"))
        .ttl(TTL)
        .build(Rows(origin.clone()))?;
    let put = versioned(store, origin).await?;
    let aside = {
        let origin = origin.clone();
        run(move |id| {
            let (cache, origin) = (cache.clone(), origin.clone());
            async move {
                let written = cache.write(&id, origin.update(User::sample(id))).await?;
                told(&written.cache)
            }
        })
    };
    let through = run(move |id| {
        let writer = through.clone();
        async move {
            let written = writer.update(&id, User::sample(id)).await?;
            stored(&written.cache)
        }
    });
    Ok(vec![
        ("larder cache-aside", "cache-aside", aside),
        ("larder write-through", "write-through", through),
        ("larder put_if_newer", "write-through", put),
    ])
}

/// A write whose row is put into the cache, in the place of the older one that is there.
async fn versioned(store: &Arc<dyn Store>, origin: &Origin) -> Result<Run> {
    let name = unused("put");
    let loader = origin.clone();
    let load = move |id: u64| {
        let origin = loader.clone();
        async move { origin.load(id).await }
    };
    let cache: CacheAside<u64, User> = CacheAside::builder(Arc::clone(store), &name)
        .ttl(LONG)
        // Whatever is put is newer than what was loaded.
        .row_version(|_| 0)
        .build(load)?;
    cache.warm(0..KEYS).run().await;
    let writer: WriteThrough<u64, User> = WriteThrough::builder(Arc::clone(store), &name)
        .ttl(LONG)
        .build(NoWriter)?;
    let versions = Arc::new(AtomicU64::new(1));
    let origin = origin.clone();
    Ok(run(move |id| {
        let (writer, origin) = (writer.clone(), origin.clone());
        let version = versions.fetch_add(1, Relaxed);
        async move {
            let user = origin.update(User::sample(id)).await?;
            stored(&writer.put_if_newer(&id, version, Some(&user)).await)
        }
    }))
}

fn stored(state: &CacheState) -> Result<(), BoxError> {
    match state {
        CacheState::Stored(_) => Ok(()),
        other => Err(format!("not stored: {other:?}").into()),
    }
}

fn told(state: &CacheState) -> Result<(), BoxError> {
    match state.error() {
        None => Ok(()),
        Some(error) => Err(error.clone().into()),
    }
}

fn no_cache(origin: &Origin) -> Run {
    let origin = origin.clone();
    run(move |id| {
        let origin = origin.clone();
        async move {
            origin.update(User::sample(id)).await?;
            Ok(())
        }
    })
}

/// A write that fails would be faster, and worth nothing.
fn run<F, Fut>(write: F) -> Run
where
    F: Fn(u64) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send,
{
    one_by_one(move |number| {
        let written = write(number % KEYS);
        async move {
            written
                .await
                .unwrap_or_else(|error| panic!("a write failed: {error}"));
        }
    })
}

fn group(store: &'static str) -> Group {
    Group {
        name: format!("{store}-write/64 B"),
        store,
        tasks: 1,
        bytes: 64,
        baseline: "no cache",
    }
}
