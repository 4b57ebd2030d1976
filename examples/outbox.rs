//! Invalidation by events: another program changes the tables and knows nothing of the cache. Triggers put each change
//! into an outbox, in the same transaction; a relay tells the cache of them and then deletes them.
//!
//! `cargo run -p larder-examples --example outbox`

use std::{str::FromStr, time::Duration};

use anyhow::{Context as _, ensure};
use larder_cache_aside::{CacheAside, Source};
use larder_memory::MemoryStore;
use larder_store::ErrorKind as StoreErrorKind;
use larder_testing::FaultStore;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tokio::time::{sleep, timeout};

// ANCHOR: triggers
const TABLES: &str = "
    CREATE TABLE articles (id INTEGER PRIMARY KEY, title TEXT NOT NULL);
    CREATE TABLE outbox (event INTEGER PRIMARY KEY AUTOINCREMENT, article INTEGER NOT NULL);

    CREATE TRIGGER created AFTER INSERT ON articles BEGIN
        INSERT INTO outbox (article) VALUES (new.id);
    END;
    CREATE TRIGGER changed AFTER UPDATE ON articles BEGIN
        INSERT INTO outbox (article) SELECT old.id UNION SELECT new.id;
    END;
    CREATE TRIGGER deleted AFTER DELETE ON articles BEGIN
        INSERT INTO outbox (article) VALUES (old.id);
    END;";
// ANCHOR_END: triggers

/// How many events the relay takes at once, and how long it rests when there are none.
const BATCH: i64 = 100;
const REST: Duration = Duration::from_millis(20);

/// The relay has this long for what the example gives it.
const PATIENCE: Duration = Duration::from_secs(3);

type Articles = CacheAside<i64, String>;

async fn open() -> anyhow::Result<SqlitePool> {
    let options = SqliteConnectOptions::from_str("sqlite::memory:")?;
    // One connection, which is kept: the database ends with it.
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    Ok(pool)
}

/// The other program: one transaction, and nothing else.
async fn import(pool: &SqlitePool, changes: &[&'static str]) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    for change in changes {
        println!("import:   {change}");
        sqlx::query(*change).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

async fn title(pool: &SqlitePool, id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("SELECT title FROM articles WHERE id = ?")
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// A row of the outbox.
struct Event {
    number: i64,
    article: i64,
}

/// The table of events. A handle, as the pool in it is.
#[derive(Clone)]
struct Outbox {
    pool: SqlitePool,
}

impl Outbox {
    // ANCHOR: outbox
    /// The oldest events.
    async fn next(&self) -> sqlx::Result<Vec<Event>> {
        let events: Vec<(i64, i64)> =
            sqlx::query_as("SELECT event, article FROM outbox ORDER BY event LIMIT ?")
                .bind(BATCH)
                .fetch_all(&self.pool)
                .await?;
        let event = |(number, article)| Event { number, article };
        Ok(events.into_iter().map(event).collect())
    }

    /// Deletes these, and no others. "All up to the last one" would delete events unseen on a database where a lower
    /// number can be committed later.
    async fn forget(&self, events: &[Event]) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin().await?;
        for event in events {
            sqlx::query("DELETE FROM outbox WHERE event = ?")
                .bind(event.number)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }
    // ANCHOR_END: outbox

    async fn len(&self) -> sqlx::Result<i64> {
        let count = sqlx::query_scalar("SELECT count(*) FROM outbox");
        count.fetch_one(&self.pool).await
    }
}

// ANCHOR: relay
/// Tells the cache of one batch, each article once, in one round trip.
async fn tell(articles: &Articles, events: &[Event]) -> anyhow::Result<()> {
    let mut changed: Vec<i64> = events.iter().map(|event| event.article).collect();
    changed.sort_unstable();
    changed.dedup();
    articles.invalidate_many(&changed).await?;
    println!("relay:    invalidated {changed:?}");
    Ok(())
}

/// One batch. Its events go only after the cache acknowledged all of them: if this process dies in between, they are
/// told again, which costs a load. An error of kind `Deferred` is no acknowledgement, since what is deferred is lost
/// with the process.
async fn relay(outbox: &Outbox, articles: &Articles) -> anyhow::Result<usize> {
    let events = outbox.next().await?;
    if !events.is_empty() {
        tell(articles, &events).await?;
        outbox.forget(&events).await?;
    }
    Ok(events.len())
}

/// The task of the relay.
async fn keep_relaying(outbox: Outbox, articles: Articles) {
    loop {
        match relay(&outbox, &articles).await {
            Ok(0) => {}
            Ok(count) => println!("relay:    deleted {count} events"),
            Err(error) => println!("relay:    {error:#}; the events stay"),
        }
        sleep(REST).await;
    }
}
// ANCHOR_END: relay

/// What a reader finds, which must be this.
async fn expect(articles: &Articles, id: i64, title: Option<&str>) -> anyhow::Result<Source> {
    let read = articles.fetch(&id).await?;
    println!(
        "reader:   {id} is {:?}, from {:?}",
        read.value.as_deref(),
        read.source
    );
    ensure!(read.value.as_deref() == title, "it should be {title:?}");
    Ok(read.source)
}

/// Another program's changes, with the relay at work.
async fn changes(outbox: &Outbox, articles: &Articles) -> anyhow::Result<()> {
    let pool = &outbox.pool;
    import(
        pool,
        &["INSERT INTO articles VALUES (1, 'tea'), (2, 'rice'), (3, 'salt')"],
    )
    .await?;
    ensure!(outbox.len().await? == 3);
    for (id, title) in [(1, "tea"), (2, "rice"), (3, "salt")] {
        expect(articles, id, Some(title)).await?;
    }
    import(
        pool,
        &[
            "UPDATE articles SET title = 'green tea' WHERE id = 1",
            "UPDATE articles SET title = 'green tea, fresh' WHERE id = 1",
            "DELETE FROM articles WHERE id = 3",
        ],
    )
    .await?;
    // Nobody was told yet.
    expect(articles, 1, Some("tea")).await?;

    let task = tokio::spawn(keep_relaying(outbox.clone(), articles.clone()));
    let told = async {
        while outbox.len().await? > 0 {
            sleep(REST).await;
        }
        anyhow::Ok(())
    };
    let told = timeout(PATIENCE, told).await;
    task.abort();
    told.context("the relay came to no end")??;
    ensure!(expect(articles, 1, Some("green tea, fresh")).await? == Source::Loader);
    expect(articles, 2, Some("rice")).await?;
    expect(articles, 3, None).await?;
    Ok(())
}

/// A relay that dies after it told the cache and before it deleted the events.
async fn crash(outbox: &Outbox, articles: &Articles) -> anyhow::Result<()> {
    let change = "UPDATE articles SET title = 'brown rice' WHERE id = 2";
    import(&outbox.pool, &[change]).await?;
    tell(articles, &outbox.next().await?).await?;
    println!("relay:    dies");
    expect(articles, 2, Some("brown rice")).await?;
    ensure!(expect(articles, 2, Some("brown rice")).await? == Source::Store);

    println!("relay:    starts again");
    ensure!(relay(outbox, articles).await? == 1);
    // One load more, and nothing else.
    ensure!(expect(articles, 2, Some("brown rice")).await? == Source::Loader);
    ensure!(outbox.len().await? == 0);
    Ok(())
}

/// A store that can't be told: the events stay until it was.
async fn outage(outbox: &Outbox, articles: &Articles, store: &FaultStore) -> anyhow::Result<()> {
    let change = "UPDATE articles SET title = 'black tea' WHERE id = 1";
    import(&outbox.pool, &[change]).await?;
    store.down(Some(StoreErrorKind::Unavailable));
    let error = relay(outbox, articles).await.err();
    println!("relay:    {:#}", error.context("nothing failed")?);
    ensure!(outbox.len().await? == 1);

    store.down(None);
    ensure!(relay(outbox, articles).await? == 1);
    ensure!(outbox.len().await? == 0);
    expect(articles, 1, Some("black tea")).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let pool = open().await?;
    let store = FaultStore::new(MemoryStore::new(1_000));
    let rows = pool.clone();
    let articles = Articles::builder(store.clone(), "article").build(move |id: i64| {
        let rows = rows.clone();
        async move { title(&rows, id).await }
    })?;
    let outbox = Outbox { pool };

    changes(&outbox, &articles).await?;
    crash(&outbox, &articles).await?;
    outage(&outbox, &articles, &store).await?;
    articles.shutdown().await?;
    println!("\nWhat the reader saw after each batch was in the database by then.");
    Ok(())
}
