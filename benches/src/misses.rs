//! Misses: what a read costs when the origin must be asked.

use std::{str::FromStr, sync::Arc, time::Duration};

use anyhow::Result;
use larder_cache_aside::CacheAside;
use larder_memory::MemoryStore;
use larder_store::Store;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use crate::{
    case::{Case, Group, Run, one_by_one},
    rig::{KEYS, fresh, redis_store, unused},
    textbook::{Textbook, TextbookOverStore},
    value::{Sample, User},
};

const TTL: Duration = Duration::from_secs(60);

/// A real database: SQLite in this process, one row a key.
#[derive(Clone)]
pub struct Origin {
    database: SqlitePool,
}

impl Origin {
    /// A database with a row for each key.
    ///
    /// # Errors
    /// Those of SQLite.
    pub async fn open() -> Result<Self> {
        let options = SqliteConnectOptions::from_str("sqlite::memory:")?;
        let database = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        let table =
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL)";
        sqlx::query(table).execute(&database).await?;
        for id in 0..KEYS {
            let user = User::sample(id);
            sqlx::query("INSERT INTO users VALUES (?, ?, ?)")
                .bind(id as i64)
                .bind(user.name)
                .bind(user.email)
                .execute(&database)
                .await?;
        }
        Ok(Self { database })
    }

    /// One row by its key.
    ///
    /// # Errors
    /// Those of SQLite.
    pub async fn load(&self, id: u64) -> Result<Option<User>, sqlx::Error> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT name, email FROM users WHERE id = ?")
                .bind((id % KEYS) as i64)
                .fetch_optional(&self.database)
                .await?;
        Ok(row.map(|(name, email)| User { id, name, email }))
    }

    /// Writes a row, and returns it.
    ///
    /// # Errors
    /// Those of SQLite.
    pub async fn update(&self, user: User) -> Result<User, sqlx::Error> {
        sqlx::query("UPDATE users SET name = ?, email = ? WHERE id = ?")
            .bind(&user.name)
            .bind(&user.email)
            .bind((user.id % KEYS) as i64)
            .execute(&self.database)
            .await?;
        Ok(user)
    }
}

/// Misses over the memory store.
///
/// # Errors
/// Those of SQLite.
pub async fn memory() -> Result<Vec<Case>> {
    let origin = Origin::open().await?;
    let cache = cold_cache(MemoryStore::new(KEYS), &origin)?;
    let textbook = TextbookOverStore::new(MemoryStore::new(KEYS), "textbook", TTL);
    let textbook = textbook.map_err(anyhow::Error::from_boxed)?;
    let run = {
        let origin = origin.clone();
        one_by_one(move |_| {
            let (textbook, origin) = (textbook.clone(), origin.clone());
            async move {
                let id = fresh();
                textbook.get(id, origin.load(id)).await.ok()
            }
        })
    };
    Ok(group("memory").cases(vec![
        ("no cache", "none", no_cache(&origin)),
        ("no cache (A/A)", "none", no_cache(&origin)),
        ("textbook cache-aside", "textbook", run),
        ("larder cache-aside", "cache-aside", larder(cache)),
    ]))
}

/// Misses over Redis.
///
/// # Errors
/// Those of SQLite and of Redis.
pub async fn redis(url: &str) -> Result<Vec<Case>> {
    let origin = Origin::open().await?;
    let cache = cold_cache(redis_store(url).await?, &origin)?;
    let textbook = Textbook::connect(url, &unused("textbook-miss"), TTL).await;
    let textbook = textbook.map_err(anyhow::Error::from_boxed)?;
    let run = {
        let origin = origin.clone();
        one_by_one(move |_| {
            let (textbook, origin) = (textbook.clone(), origin.clone());
            async move {
                let id = fresh();
                textbook.get(id, origin.load(id)).await.ok()
            }
        })
    };
    Ok(group("redis").cases(vec![
        ("no cache", "none", no_cache(&origin)),
        ("no cache (A/A)", "none", no_cache(&origin)),
        ("textbook cache-aside", "textbook", run),
        ("larder cache-aside", "cache-aside", larder(cache)),
    ]))
}

fn cold_cache(store: impl Into<Arc<dyn Store>>, origin: &Origin) -> Result<CacheAside<u64, User>> {
    let origin = origin.clone();
    let load = move |id: u64| {
        let origin = origin.clone();
        async move { origin.load(id).await }
    };
    Ok(CacheAside::builder(store, &unused("miss"))
        .ttl(TTL)
        .build(load)?)
}

fn no_cache(origin: &Origin) -> Run {
    let origin = origin.clone();
    one_by_one(move |_| {
        let origin = origin.clone();
        async move { origin.load(fresh()).await.ok() }
    })
}

fn larder(cache: CacheAside<u64, User>) -> Run {
    one_by_one(move |_| {
        let cache = cache.clone();
        async move { cache.get(&fresh()).await.ok() }
    })
}

fn group(store: &'static str) -> Group {
    Group {
        name: format!("{store}-miss/64 B"),
        store,
        tasks: 1,
        bytes: 64,
        baseline: "no cache",
    }
}
