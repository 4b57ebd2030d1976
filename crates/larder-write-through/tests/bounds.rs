//! The bounds of the guarantee that are write-through's own, as the book names them: in each of these an old value is read
//! after the write's `Ok`, and no longer than the TTL allows. Those it shares with cache-aside are shown there.

use std::{io, time::Duration};

use larder_cache_aside::CacheAside;
use larder_memory::MemoryStore;
use larder_testing::Database;
use larder_write_through::{CacheState, WriteThrough, Writer, async_trait};
use tokio::time::sleep;

const NAME: &str = "row";
const TTL: Duration = Duration::from_secs(60);

/// The database's other side. A new row is committed, and then its writer dies.
struct Rows(Database);

#[async_trait]
impl Writer<u64, String> for Rows {
    type Error = io::Error;

    async fn create(&self, row: &String) -> io::Result<u64> {
        self.0.put(77, row);
        std::future::pending().await
    }

    async fn update(&self, id: &u64, row: String) -> io::Result<Option<String>> {
        self.0.put(*id, &row);
        Ok(Some(row))
    }

    async fn delete(&self, id: &u64) -> io::Result<()> {
        self.0.remove(*id);
        Ok(())
    }
}

fn rig() -> (Database, WriteThrough<u64, String>, CacheAside<u64, String>) {
    let store = MemoryStore::new(100);
    let database = Database::with([(1, "old")]);
    let writer = WriteThrough::builder(store.clone(), NAME)
        .ttl(TTL)
        .build(Rows(database.clone()));
    let reader = CacheAside::builder(store, NAME)
        .negative_ttl(TTL)
        .build(database.clone());
    (database, writer.expect("a cache"), reader.expect("a cache"))
}

/// Somebody who neither takes the bracket nor invalidates commits between a writer's statement and its end.
#[tokio::test(start_paused = true)]
async fn writers_outside() {
    let (database, writer, reader) = rig();
    let write = async {
        database.put(1, "ours");
        database.put(1, "theirs");
        Ok::<_, io::Error>(Some("ours".to_owned()))
    };
    let written = writer.write(&1, write).await.expect("write");
    assert!(matches!(written.cache, CacheState::Stored(_)));
    let read = reader.get(&1).await.expect("get");
    assert_eq!(read.as_deref(), Some("ours"));
    sleep(TTL).await;
    let read = reader.get(&1).await.expect("get");
    assert_eq!(read.as_deref(), Some("theirs"));
}

/// The row's key isn't known before it is inserted, so nothing holds the negative entry that is there.
#[tokio::test(start_paused = true)]
async fn a_process_that_dies_in_create() {
    let (_database, writer, reader) = rig();
    assert_eq!(reader.get(&77).await.expect("get"), None);
    let create = writer.create("new".to_owned());
    assert!(larder_testing::drop_at_await(0, create).await);
    assert_eq!(reader.get(&77).await.expect("get"), None);
    sleep(TTL).await;
    let read = reader.get(&77).await.expect("get");
    assert_eq!(read.as_deref(), Some("new"));
}

/// The value is stored as the writer returned it: a trigger that changes the row afterwards is not in it.
#[tokio::test(start_paused = true)]
async fn what_the_writer_returns() {
    let (database, writer, reader) = rig();
    let write = async {
        // A trigger makes it upper case.
        database.put(1, "NEW");
        Ok::<_, io::Error>(Some("new".to_owned()))
    };
    let written = writer.write(&1, write).await.expect("write");
    assert!(matches!(written.cache, CacheState::Stored(_)));
    let read = reader.get(&1).await.expect("get");
    assert_eq!(read.as_deref(), Some("new"));
    sleep(TTL).await;
    let read = reader.get(&1).await.expect("get");
    assert_eq!(read.as_deref(), Some("NEW"));
}

/// The reading side has another version of the type, so what is written is somewhere else.
#[tokio::test(start_paused = true)]
async fn two_sides_that_don_t_match() {
    let store = MemoryStore::new(100);
    let database = Database::with([(1, "old")]);
    let writer: WriteThrough<u64, String> = WriteThrough::builder(store.clone(), NAME)
        .version(2)
        .build(Rows(database.clone()))
        .expect("a cache");
    let reader: CacheAside<u64, String> = CacheAside::builder(store, NAME)
        .ttl(TTL)
        .build(database)
        .expect("a cache");
    assert_eq!(reader.get(&1).await.expect("get").as_deref(), Some("old"));
    let written = writer.update(&1, "new".to_owned()).await.expect("update");
    assert!(matches!(written.cache, CacheState::Stored(_)));
    let read = reader.get(&1).await.expect("get");
    assert_eq!(read.as_deref(), Some("old"));
    sleep(TTL).await;
    let read = reader.get(&1).await.expect("get");
    assert_eq!(read.as_deref(), Some("new"));
}

/// A row whose version a change doesn't raise is taken for the one that is there.
#[tokio::test(start_paused = true)]
async fn versions_that_don_t_grow() {
    let store = MemoryStore::new(100);
    let database = Database::with([(1, "old")]);
    let reader: CacheAside<u64, String> = CacheAside::builder(store, NAME)
        .ttl(TTL)
        .row_version(|_| 7)
        .build(database.clone())
        .expect("a cache");
    reader.get(&1).await.expect("get");
    database.put(1, "new");
    let put = reader.put_if_newer(&1, 7, Some(&"new".to_owned())).await;
    assert!(matches!(put, CacheState::Kept), "{put:?}");
    let read = reader.get(&1).await.expect("get");
    assert_eq!(read.as_deref(), Some("old"));
    sleep(TTL).await;
    let read = reader.get(&1).await.expect("get");
    assert_eq!(read.as_deref(), Some("new"));
}
