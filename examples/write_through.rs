//! Write-through over sqlx and SQLite. First the race of the textbook's two writers, forced. Then: readers find what was
//! written without a load, be it one statement, a transaction or a transfer between two rows; and what becomes of
//! writers that overlap, of a write that is rolled back, of one whose outcome is unknown, of one while the store is down,
//! and of changes that were made elsewhere.
//!
//! `cargo run -p larder-examples --example write-through`

use std::{collections::HashMap, io, str::FromStr, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
// ANCHOR: use
use larder_cache_aside::{CacheAside, Loader, Source};
use larder_memory::MemoryStore;
// ANCHOR_END: use
use larder_store::{ErrorKind as StoreErrorKind, Namespace, Store};
use larder_testing::{Fault, FaultStore, Gate, Operation};
// ANCHOR: use_writer
use larder_write_through::{CacheState, ErrorKind, WriteError, WriteThrough, Writer, async_trait};
// ANCHOR_END: use_writer
use serde::{Deserialize, Serialize};
use sqlx::{
    FromRow, QueryBuilder, Row, Sqlite, SqliteConnection, SqlitePool, Transaction,
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

// ANCHOR: user
/// A row, and what is cached of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct User {
    name: String,
    cents: i64,
    /// How often the row was changed; the database counts.
    changes: i64,
}

impl User {
    /// Which of two states of a row is the newer one.
    fn version(&self) -> u64 {
        self.changes.unsigned_abs()
    }
}
// ANCHOR_END: user

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

    /// A row whose key was chosen before.
    async fn insert(&self, id: i64, user: User) -> Result<Option<User>, WriteError> {
        sqlx::query_as(
            "INSERT INTO users (id, name, cents) VALUES (?, ?, ?) RETURNING name, cents, changes",
        )
        .bind(id)
        .bind(user.name)
        .bind(user.cents)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed)
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

// ANCHOR: in_order
/// One statement for many rows. `RETURNING` promises no order and leaves out rows that aren't there, so what comes back
/// is put in the order of the keys.
async fn add_to_all(
    connection: &mut SqliteConnection,
    ids: &[i64],
    cents: i64,
) -> sqlx::Result<Vec<Option<User>>> {
    let mut update = QueryBuilder::new("UPDATE users SET changes = changes + 1, cents = cents + ");
    update.push_bind(cents).push(" WHERE id IN (");
    let mut list = update.separated(", ");
    for id in ids {
        list.push_bind(*id);
    }
    update.push(") RETURNING id, name, cents, changes");
    let mut rows: HashMap<i64, User> = HashMap::new();
    for row in update.build().fetch_all(connection).await? {
        rows.insert(row.try_get("id")?, User::from_row(&row)?);
    }
    Ok(ids.iter().map(|id| rows.remove(id)).collect())
}
// ANCHOR_END: in_order

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
    println!("the race of the textbook's two writers, forced");
    println!(
        "{cached} in the cache, {} in the database, until the TTL ends",
        user.cents
    );
    ensure!((cached, user.cents) == ("1", 2), "it went well");
    Ok(())
}

/// Both sides of one cache.
struct Sides {
    store: Arc<dyn Store>,
    database: Users,
    users: WriteThrough<i64, User>,
    readers: CacheAside<i64, User>,
}

async fn open(store: Arc<dyn Store>) -> anyhow::Result<Sides> {
    let database = Users::open().await?;
    let there = Arc::clone(&store);
    // ANCHOR: caches
    // Who reads.
    let readers = CacheAside::<i64, User>::builder(store, "user")
        .ttl(TTL)
        .negative_ttl(NEGATIVE_TTL)
        .row_version(User::version)
        .build(database.clone())?;

    // Who writes: with the store, the name, all settings and the statistics of `readers`.
    let users = WriteThrough::beside(readers.keyspace(), database.clone());
    // ANCHOR_END: caches
    Ok(Sides {
        store: there,
        database,
        users,
        readers,
    })
}

/// Who writes in another process, where nobody reads.
fn elsewhere(
    store: Arc<dyn Store>,
    database: Users,
) -> larder_write_through::Result<WriteThrough<i64, User>> {
    // ANCHOR: elsewhere
    // In a process without the reading side: the same settings once more.
    let users = WriteThrough::<i64, User>::builder(store, "user")
        .ttl(TTL)
        .negative_ttl(NEGATIVE_TTL)
        .row_version(User::version)
        .build(database)?;
    // ANCHOR_END: elsewhere
    Ok(users)
}

/// A heading.
fn part(title: &str) {
    println!("\n{title}");
}

/// What became of an entry, in short.
fn shown(state: &CacheState) -> String {
    match state {
        CacheState::Stored(ttl) => format!("stored, fresh for {} s", ttl.as_secs()),
        other => format!("{other:?}"),
    }
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
    part("one row: created, updated, deleted");
    let Sides { users, readers, .. } = sides;
    ensure!(sides.read(1, Source::Loader).await?.is_none());
    ensure!(sides.read(1, Source::Store).await?.is_none());
    // ANCHOR: create
    // The key is not known before, so nothing is stored; that there was no such row is forgotten.
    let created = users.create(User::new("Ada", 1_000)).await?;
    let id = created.key;
    // ANCHOR_END: create
    println!("created {id}: {}", shown(&created.cache));
    ensure!(sides.read(id, Source::Loader).await? == Some(User::new("Ada", 1_000)));

    let loads = readers.stats().loads;
    // ANCHOR: update
    let written = users.update(&id, User::new("Ada L.", 1_200)).await?;
    match &written.cache {
        CacheState::Stored(ttl) => println!("updated {id}: stored, fresh for {} s", ttl.as_secs()),
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
    println!("deleted {id}; that there is none: {}", shown(&deleted));
    ensure!(matches!(deleted, CacheState::Stored(_)));
    ensure!(sides.read(id, Source::Store).await?.is_none());
    Ok(())
}

async fn known_key(sides: &Sides) -> anyhow::Result<()> {
    part("a new row whose key is known before");
    let Sides {
        database, users, ..
    } = sides;
    let id = 700;
    // ANCHOR: known_key
    // The key is held from before the insert, so the new row is stored.
    let write = database.insert(id, User::new("Kurt", 10));
    let written = users.write(&id, write).await?;
    // ANCHOR_END: known_key
    println!("created {id}: {}", shown(&written.cache));
    ensure!(matches!(written.cache, CacheState::Stored(_)));
    ensure!(sides.read(id, Source::Store).await?.is_some());
    Ok(())
}

async fn in_a_transaction(sides: &Sides) -> anyhow::Result<()> {
    part("a transaction, and one that is rolled back");
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
    println!("paid 300: {}", shown(&written.cache));
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

async fn outcome_unknown(sides: &Sides) -> anyhow::Result<()> {
    part("a write whose outcome is unknown, and one after it");
    let id = sides.create("Rózsa", 1).await?;
    let users = elsewhere(Arc::clone(&sides.store), sides.database.clone())?;
    // ANCHOR: unknown
    // The connection breaks, and nobody knows whether the commit came through: `?` and `into` say so by themselves.
    let lost = async { Err(io::Error::from(io::ErrorKind::ConnectionReset)) };
    let failed = users.write(&id, lost).await.err();
    ensure!(failed.is_some_and(|error| error.kind() == ErrorKind::Writer));

    // Its hold lives on, for 10 s by default: until then all other writes of the key overlap with it.
    let written = users.update(&id, User::new("Rózsa", 2)).await?;
    ensure!(matches!(written.cache, CacheState::Invalidated));
    // ANCHOR_END: unknown
    println!("updated {id}: {}", shown(&written.cache));
    // And nobody stores what they load.
    for _ in 0..2 {
        let user = sides.read(id, Source::Loader).await?;
        ensure!(user.is_some_and(|user| user.cents == 2));
    }
    Ok(())
}

async fn two_rows(sides: &Sides) -> anyhow::Result<()> {
    part("two rows, and many with one statement");
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
    for (id, state) in [from, to].iter().zip(&moved.cache) {
        println!("moved 200, {id}: {}", shown(state));
    }
    let stored = |state: &CacheState| matches!(state, CacheState::Stored(_));
    ensure!(moved.cache.len() == 2 && moved.cache.iter().all(stored));
    for (id, cents) in [(from, 300), (to, 300)] {
        let user = sides.read(id, Source::Store).await?;
        ensure!(user.is_some_and(|user| user.cents == cents));
    }

    // There is no 4711, and the database may return the others in any order.
    let ids = [to, 4711, from];
    // ANCHOR: many
    let mut transaction = database.pool.begin().await?;
    let write = async move {
        let rows = add_to_all(&mut transaction, &ids, 5).await;
        finish(transaction, rows).await
    };
    let raised = users.write_many(&ids, write).await?;
    // ANCHOR_END: many
    for (id, state) in ids.iter().zip(&raised.cache) {
        println!("added 5, {id}: {}", shown(state));
    }
    ensure!(raised.cache.len() == 3 && raised.cache.iter().all(stored));
    ensure!(sides.read(4711, Source::Store).await?.is_none());
    for id in [from, to] {
        let user = sides.read(id, Source::Store).await?;
        ensure!(user.is_some_and(|user| user.cents == 305));
    }
    Ok(())
}

/// A change that was made elsewhere, as an event tells of it.
struct Event {
    id: i64,
    version: u64,
    /// The row as of this version; none if it was deleted.
    row: Option<User>,
}

// ANCHOR: put_if_newer
/// Tells the cache of a change that was made elsewhere. The event is done with if this returns `true`.
async fn tell(users: &WriteThrough<i64, User>, event: &Event) -> bool {
    let row = event.row.as_ref();
    let state = users.put_if_newer(&event.id, event.version, row).await;
    match &state {
        CacheState::Stored(_) => println!("version {}: stored", event.version),
        CacheState::Kept => println!("version {}: nothing older is there", event.version),
        other => println!("version {}: {other:?}", event.version),
    }
    state.is_consistent()
}
// ANCHOR_END: put_if_newer

async fn changed_elsewhere(sides: &Sides) -> anyhow::Result<()> {
    part("changes made elsewhere, told by events that come late");
    let id = sides.create("Emmy", 1).await?;
    sides.read(id, Source::Loader).await?;
    let Sides {
        database, users, ..
    } = sides;
    let mut events = Vec::new();
    for cents in [2, 3] {
        let row = database.update(&id, User::new("Emmy", cents)).await;
        let row = row.ok().flatten().context("no such user")?;
        events.push(Event {
            id,
            version: row.version(),
            row: Some(row),
        });
    }
    // The second event comes first.
    for event in events.iter().rev() {
        ensure!(tell(users, event).await);
        let user = sides.read(id, Source::Store).await?;
        ensure!(user.is_some_and(|user| user.cents == 3));
    }

    let deleted = Event {
        id,
        version: 3,
        row: None,
    };
    ensure!(database.delete(&id).await.is_ok());
    ensure!(tell(users, &deleted).await);
    ensure!(tell(users, &events[1]).await);
    ensure!(sides.read(id, Source::Store).await?.is_none());
    Ok(())
}

async fn overlapping(sides: &Sides) -> anyhow::Result<()> {
    part("two writers of one row at once");
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
        println!("one of the two: {:?}", written.cache);
        ensure!(matches!(written.cache, CacheState::Invalidated));
    }
    // ANCHOR_END: overlap
    let user = sides.read(id, Source::Loader).await?;
    ensure!(user.is_some_and(|user| user.cents == 3));
    sides.read(id, Source::Store).await?;
    Ok(())
}

async fn outage() -> anyhow::Result<()> {
    part("a write while the store is down");
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
    println!(
        "\nStored entries have a TTL of {TTL:?}, those of missing rows one of {NEGATIVE_TTL:?}; up to a tenth of it is"
    );
    println!(
        "taken off by lot (`jitter`), so that what is stored together doesn't expire together."
    );
    let sides = open(MemoryStore::new(1_000).into()).await?;
    one_row(&sides).await?;
    known_key(&sides).await?;
    in_a_transaction(&sides).await?;
    outcome_unknown(&sides).await?;
    two_rows(&sides).await?;
    overlapping(&sides).await?;
    changed_elsewhere(&sides).await?;
    outage().await?;
    sides.users.shutdown().await?;
    sides.readers.shutdown().await?;
    Ok(())
}
