//! Write-through over sqlx and SQLite. First the race of the textbook's two writers, forced. Then: readers find what was
//! written without a load, be it one statement, a transaction or a transfer between two rows; and what becomes of
//! writers that overlap, of a write that is rolled back, and of one while the store is down.
//!
//! `cargo run -p larder-examples --example write-through`

use std::{str::FromStr, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use larder_cache_aside::{CacheAside, Loader, Source};
use larder_memory::MemoryStore;
use larder_store::{ErrorKind as StoreErrorKind, Namespace, Store};
use larder_testing::{Fault, FaultStore, Gate, Operation};
use larder_write_through::{CacheState, ErrorKind, WriteError, WriteThrough, Writer, async_trait};
use serde::{Deserialize, Serialize};
use sqlx::{
    FromRow, Row, Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};

const TABLES: &str = "
    CREATE TABLE users (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        cents INTEGER NOT NULL CHECK (cents >= 0),
        changes INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE payments (user INTEGER NOT NULL, cents INTEGER NOT NULL)";

const TTL: Duration = Duration::from_secs(300);
const NEGATIVE_TTL: Duration = Duration::from_secs(30);

/// A row, and what is cached of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct User {
    name: String,
    cents: i64,
    /// How often the row was changed; the database counts.
    changes: i64,
}

impl User {
    fn new(name: &str, cents: i64) -> Self {
        Self {
            name: name.to_owned(),
            cents,
            changes: 0,
        }
    }
}

impl FromRow<'_, SqliteRow> for User {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            cents: row.try_get("cents")?,
            changes: row.try_get("changes")?,
        })
    }
}

/// The table. A handle, as the pool in it is.
#[derive(Debug, Clone)]
struct Users {
    pool: SqlitePool,
}

impl Users {
    async fn open() -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::from_str("sqlite::memory:")?;
        // One connection, which is kept: the database ends with it.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        sqlx::raw_sql(TABLES).execute(&pool).await?;
        Ok(Self { pool })
    }

    async fn deposit(&self, id: i64, cents: i64) -> sqlx::Result<i64> {
        let mut connection = self.pool.acquire().await?;
        Ok(add(&mut connection, id, cents).await?.cents)
    }

    async fn payments(&self) -> sqlx::Result<i64> {
        let count = sqlx::query_scalar("SELECT count(*) FROM payments");
        count.fetch_one(&self.pool).await
    }
}

// ANCHOR: writer
#[async_trait]
impl Writer<i64, User> for Users {
    type Error = WriteError;

    async fn create(&self, user: &User) -> Result<i64, WriteError> {
        sqlx::query_scalar("INSERT INTO users (name, cents) VALUES (?, ?) RETURNING id")
            .bind(user.name.as_str())
            .bind(user.cents)
            .fetch_one(&self.pool)
            .await
            .map_err(failed)
    }

    // The row as it is now, with what the database made of it; `None` if there is none.
    async fn update(&self, id: &i64, user: User) -> Result<Option<User>, WriteError> {
        sqlx::query_as(
            "UPDATE users SET name = ?, cents = ?, changes = changes + 1 WHERE id = ?
             RETURNING name, cents, changes",
        )
        .bind(user.name)
        .bind(user.cents)
        .bind(*id)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed)
    }

    async fn delete(&self, id: &i64) -> Result<(), WriteError> {
        let delete = sqlx::query("DELETE FROM users WHERE id = ?").bind(*id);
        delete.execute(&self.pool).await.map_err(failed)?;
        Ok(())
    }
}

/// A statement that breaks a constraint changes nothing, and the cache may know. After any other error the change may
/// have been committed.
fn failed(error: sqlx::Error) -> WriteError {
    let broken = error
        .as_database_error()
        .is_some_and(|it| it.is_unique_violation() || it.is_check_violation());
    if broken {
        return WriteError::rolled_back(error);
    }
    error.into()
}
// ANCHOR_END: writer

#[async_trait]
impl Loader<i64, User> for Users {
    type Error = sqlx::Error;

    async fn load(&self, id: &i64) -> sqlx::Result<Option<User>> {
        sqlx::query_as("SELECT name, cents, changes FROM users WHERE id = ?")
            .bind(*id)
            .fetch_optional(&self.pool)
            .await
    }
}

// ANCHOR: statements
/// Changes a balance. Without the row it fails, which undoes the transaction.
async fn add(connection: &mut SqliteConnection, id: i64, cents: i64) -> sqlx::Result<User> {
    sqlx::query_as(
        "UPDATE users SET cents = cents + ?, changes = changes + 1 WHERE id = ?
         RETURNING name, cents, changes",
    )
    .bind(cents)
    .bind(id)
    .fetch_one(connection)
    .await
}

/// Two statements: a payment, and the balance after it.
async fn pay(connection: &mut SqliteConnection, id: i64, cents: i64) -> sqlx::Result<User> {
    sqlx::query("INSERT INTO payments (user, cents) VALUES (?, ?)")
        .bind(id)
        .bind(cents)
        .execute(&mut *connection)
        .await?;
    add(connection, id, -cents).await
}

/// Two rows, in the order of the keys.
async fn transfer(
    connection: &mut SqliteConnection,
    [from, to]: [i64; 2],
    cents: i64,
) -> sqlx::Result<Vec<Option<User>>> {
    let from = add(connection, from, -cents).await?;
    let to = add(connection, to, cents).await?;
    Ok(vec![Some(from), Some(to)])
}

/// Commits what went well, and rolls back what didn't. Only then nothing was changed for sure: after an error of the
/// commit itself nobody knows.
async fn finish<T>(
    transaction: Transaction<'_, Sqlite>,
    outcome: sqlx::Result<T>,
) -> Result<T, WriteError> {
    match outcome {
        Ok(value) => {
            transaction.commit().await?;
            Ok(value)
        }
        Err(error) => {
            transaction.rollback().await?;
            Err(WriteError::rolled_back(error))
        }
    }
}
// ANCHOR_END: statements

// ANCHOR: textbook
/// Write-through as it is usually written: the commit, then SETEX.
async fn textbook(store: &dyn Store, database: &Users, id: i64) -> anyhow::Result<()> {
    let key = Namespace::new("textbook", 1)?.key(&id)?;
    let cents = database.deposit(id, 1).await?;
    let ttl = Some(Duration::from_secs(300));
    store.set(&key, cents.to_string().into(), ttl).await?;
    Ok(())
}
// ANCHOR_END: textbook

/// Two of them, and the SETEX of the first one is late.
async fn race() -> anyhow::Result<()> {
    let store = FaultStore::new(MemoryStore::new(100));
    let sides = open(store.clone().into()).await?;
    let id = sides.create("Tony", 0).await?;
    let late = Gate::new();
    store.inject(Operation::Set, Fault::Wait(late.clone()));
    let first = textbook(&store, &sides.database, id);
    let second = async {
        late.reached().await;
        let second = textbook(&store, &sides.database, id).await;
        late.open();
        second
    };
    tokio::try_join!(first, second)?;
    let cached = store.get(&Namespace::new("textbook", 1)?.key(&id)?).await?;
    let cached = cached.context("it was set twice")?;
    let cached = std::str::from_utf8(&cached)?;
    let user = sides.database.load(&id).await?.context("no such user")?;
    println!(
        "the textbook's two writers: {cached} in the cache, {} in the database",
        user.cents
    );
    ensure!((cached, user.cents) == ("1", 2), "it went well");
    Ok(())
}

/// Both sides of one cache.
struct Sides {
    database: Users,
    users: WriteThrough<i64, User>,
    readers: CacheAside<i64, User>,
}

async fn open(store: Arc<dyn Store>) -> anyhow::Result<Sides> {
    let database = Users::open().await?;
    // ANCHOR: caches
    let users = WriteThrough::<i64, User>::builder(Arc::clone(&store), "user")
        .ttl(TTL)
        .negative_ttl(NEGATIVE_TTL)
        .build(database.clone())?;

    // Who reads: the same store, the same name, the same settings.
    let readers = CacheAside::<i64, User>::builder(store, "user")
        .ttl(TTL)
        .negative_ttl(NEGATIVE_TTL)
        .build(database.clone())?;
    // ANCHOR_END: caches
    Ok(Sides {
        database,
        users,
        readers,
    })
}

impl Sides {
    /// What a reader finds, which must come from there.
    async fn read(&self, id: i64, source: Source) -> anyhow::Result<Option<User>> {
        let read = self.readers.fetch(&id).await?;
        let shown = read.value.as_ref().map_or("nobody".to_owned(), |user| {
            format!("{}, {} cents", user.name, user.cents)
        });
        println!(
            "    a reader of {id}: {:<8} {shown}",
            format!("{:?}", read.source)
        );
        ensure!(read.source == source, "not from {source:?}");
        Ok(read.value)
    }

    async fn create(&self, name: &str, cents: i64) -> anyhow::Result<i64> {
        let created = self.users.create(User::new(name, cents)).await?;
        Ok(created.key)
    }
}

async fn one_row(sides: &Sides) -> anyhow::Result<()> {
    let Sides { users, readers, .. } = sides;
    ensure!(sides.read(1, Source::Loader).await?.is_none());
    ensure!(sides.read(1, Source::Store).await?.is_none());
    // ANCHOR: create
    // The key is not known before, so nothing is stored; that there was no such row is forgotten.
    let created = users.create(User::new("Ada", 1_000)).await?;
    let id = created.key;
    // ANCHOR_END: create
    println!("created {id}: {:?}", created.cache);
    ensure!(sides.read(id, Source::Loader).await? == Some(User::new("Ada", 1_000)));

    let loads = readers.stats().loads;
    // ANCHOR: update
    let written = users.update(&id, User::new("Ada L.", 1_200)).await?;
    match &written.cache {
        CacheState::Stored(ttl) => println!("updated {id}: fresh for {ttl:.0?}"),
        CacheState::Invalidated => println!("updated {id}: another writer overlapped"),
        other => println!("updated {id}: {other:?}"),
    }
    let read = readers.get(&id).await?;
    ensure!(read == written.value && readers.stats().loads == loads);
    // ANCHOR_END: update
    ensure!(matches!(written.cache, CacheState::Stored(_)));
    ensure!(read.is_some_and(|user| user.changes == 1));

    // With `negative_ttl` it is stored that there is none.
    let deleted = users.delete(&id).await?;
    println!("deleted {id}: {deleted:?}");
    ensure!(matches!(deleted, CacheState::Stored(_)));
    ensure!(sides.read(id, Source::Store).await?.is_none());
    Ok(())
}

async fn in_a_transaction(sides: &Sides) -> anyhow::Result<()> {
    let id = sides.create("Grace", 1_000).await?;
    let Sides {
        database, users, ..
    } = sides;
    // ANCHOR: transaction
    // The connection first: the time in the pool's queue is no time that the key is held.
    let mut transaction = database.pool.begin().await?;
    let write = async move {
        let paid = pay(&mut transaction, id, 300).await;
        finish(transaction, paid.map(Some)).await
    };
    let written = users.write(&id, write).await?;
    // ANCHOR_END: transaction
    println!("paid 300: {:?}", written.cache);
    ensure!(matches!(written.cache, CacheState::Stored(_)));
    let user = sides.read(id, Source::Store).await?;
    ensure!(user.is_some_and(|user| user.cents == 700));
    rolled_back(sides, id).await
}

async fn rolled_back(sides: &Sides, id: i64) -> anyhow::Result<()> {
    let Sides {
        database, users, ..
    } = sides;
    let mut transaction = database.pool.begin().await?;
    let write = async move {
        let paid = pay(&mut transaction, id, 5_000).await;
        finish(transaction, paid.map(Some)).await
    };
    // ANCHOR: rolled_back
    let refused = users.write(&id, write).await.err();
    let refused = refused.context("the balance went below zero")?;
    ensure!(refused.kind() == ErrorKind::Writer);
    let why = refused.writer_error::<sqlx::Error>();
    println!("paid 5000: {}", why.context("an error of sqlx")?);
    // ANCHOR_END: rolled_back
    ensure!(database.payments().await? == 1);
    // Nobody holds the key: the next reader loads and stores.
    let user = sides.read(id, Source::Loader).await?;
    ensure!(user.is_some_and(|user| user.cents == 700));
    sides.read(id, Source::Store).await?;
    Ok(())
}

async fn two_rows(sides: &Sides) -> anyhow::Result<()> {
    let from = sides.create("Edsger", 500).await?;
    let to = sides.create("Barbara", 100).await?;
    let Sides {
        database, users, ..
    } = sides;
    // ANCHOR: transfer
    let mut transaction = database.pool.begin().await?;
    let write = async move {
        let rows = transfer(&mut transaction, [from, to], 200).await;
        finish(transaction, rows).await
    };
    let moved = users.write_many(&[from, to], write).await?;
    // ANCHOR_END: transfer
    println!("moved 200: {:?}", moved.cache);
    let stored = |state: &CacheState| matches!(state, CacheState::Stored(_));
    ensure!(moved.cache.len() == 2 && moved.cache.iter().all(stored));
    for (id, cents) in [(from, 300), (to, 300)] {
        let user = sides.read(id, Source::Store).await?;
        ensure!(user.is_some_and(|user| user.cents == cents));
    }
    Ok(())
}

async fn overlapping(sides: &Sides) -> anyhow::Result<()> {
    let id = sides.create("Alan", 1).await?;
    let Sides {
        database, users, ..
    } = sides;
    // ANCHOR: overlap
    let gate = Gate::new();
    let slow = users.write(&id, async {
        let row = database.update(&id, User::new("Alan", 2)).await?;
        gate.pass().await; // committed, and held up before the cache is told
        Ok::<_, WriteError>(row)
    });
    let quick = async {
        gate.reached().await;
        let quick = users.update(&id, User::new("Alan", 3)).await;
        gate.open();
        quick
    };
    let (slow, quick) = tokio::try_join!(slow, quick)?;
    // Nobody knows whose commit was the last, so neither value is stored.
    for written in [quick, slow] {
        println!("one of two writers at once: {:?}", written.cache);
        ensure!(matches!(written.cache, CacheState::Invalidated));
    }
    // ANCHOR_END: overlap
    let user = sides.read(id, Source::Loader).await?;
    ensure!(user.is_some_and(|user| user.cents == 3));
    sides.read(id, Source::Store).await?;
    Ok(())
}

async fn outage() -> anyhow::Result<()> {
    let store = FaultStore::new(MemoryStore::new(100));
    let sides = open(store.clone().into()).await?;
    let id = sides.create("Donald", 1).await?;
    sides.read(id, Source::Loader).await?;
    let users = &sides.users;
    store.down(Some(StoreErrorKind::Unavailable));
    // ANCHOR: deferred
    let written = users.update(&id, User::new("Donald", 2)).await?;
    if let CacheState::Deferred(error) = &written.cache {
        println!("store down: written, but {error}");
    }
    ensure!(users.deferred() == 1);
    // ANCHOR_END: deferred
    store.down(None);
    users.shutdown().await?;
    ensure!(users.deferred() == 0);
    println!("store back: it was told");
    let user = sides.read(id, Source::Loader).await?;
    ensure!(user.is_some_and(|user| user.cents == 2));
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    race().await?;
    let sides = open(MemoryStore::new(1_000).into()).await?;
    one_row(&sides).await?;
    in_a_transaction(&sides).await?;
    two_rows(&sides).await?;
    overlapping(&sides).await?;
    outage().await?;
    sides.users.shutdown().await?;
    sides.readers.shutdown().await?;
    Ok(())
}
