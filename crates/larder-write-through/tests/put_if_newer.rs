//! Rows with versions: what a change that was made elsewhere does to what is cached.

use std::{io, sync::Arc, time::Duration};

use larder_cache_aside::{CacheAside, Source};
use larder_memory::MemoryStore;
use larder_redis::RedisStore;
use larder_store::{ErrorKind as StoreErrorKind, Namespace, Store};
use larder_testing::{Database, Fault, FaultStore, Operation, RedisServer};
use larder_write_through::{CacheState, ErrorKind, NoWriter, WriteThrough, WriteThroughBuilder};

const NAME: &str = "row";

/// The rows here are `v1`, `v2` and so on.
fn version(row: &str) -> u64 {
    row[1..].parse().expect("a version")
}

struct Rig {
    database: Database,
    writer: WriteThrough<u64, String>,
    reader: CacheAside<u64, String>,
}

fn rig_with(
    store: impl Into<Arc<dyn Store>>,
    settings: impl Fn(WriteThroughBuilder<u64, String>) -> WriteThroughBuilder<u64, String>,
) -> Rig {
    let store = store.into();
    let database = Database::with([(1, "v5")]);
    let reader = CacheAside::builder(Arc::clone(&store), NAME)
        .row_version(|row: &String| version(row))
        .build(database.clone());
    Rig {
        database,
        writer: settings(WriteThrough::builder(store, NAME))
            .build(NoWriter)
            .expect("a cache"),
        reader: reader.expect("a cache"),
    }
}

fn rig(store: impl Into<Arc<dyn Store>>) -> Rig {
    rig_with(store, |builder| builder)
}

impl Rig {
    /// Commits a row, and tells the cache.
    async fn put(&self, row: &str) -> CacheState {
        self.database.put(1, row);
        self.tell(row).await
    }

    /// Tells the cache of a row, which may come late.
    async fn tell(&self, row: &str) -> CacheState {
        let value = row.to_owned();
        self.writer
            .put_if_newer(&1, version(row), Some(&value))
            .await
    }

    async fn assert_reads(&self, row: Option<&str>, source: Source) {
        let read = self.reader.fetch(&1).await.expect("fetch");
        assert_eq!((read.value.as_deref(), read.source), (row, source));
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_entry_is_replaced_and_a_newer_one_kept() {
    let rig = rig(MemoryStore::new(100));
    rig.assert_reads(Some("v5"), Source::Loader).await;
    let put = rig.put("v7").await;
    assert!(matches!(put, CacheState::Stored(_)), "{put:?}");
    rig.assert_reads(Some("v7"), Source::Store).await;
    // These come late, or again.
    for row in ["v6", "v7"] {
        let put = rig.tell(row).await;
        assert!(matches!(put, CacheState::Kept), "{put:?}");
        rig.assert_reads(Some("v7"), Source::Store).await;
    }
    // What was put can be compared as well.
    let put = rig.put("v10").await;
    assert!(matches!(put, CacheState::Stored(_)), "{put:?}");
    rig.assert_reads(Some("v10"), Source::Store).await;
    assert_eq!(rig.database.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_cached_nothing_is_stored() {
    let rig = rig(MemoryStore::new(100));
    let put = rig.put("v6").await;
    assert!(matches!(put, CacheState::Kept), "{put:?}");
    rig.assert_reads(Some("v6"), Source::Loader).await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_without_a_version_is_dropped() {
    let store = MemoryStore::new(100);
    let rig = rig(store.clone());
    let unversioned = CacheAside::<u64, String>::builder(store, NAME)
        .build(rig.database.clone())
        .expect("a cache");
    unversioned.get(&1).await.expect("get");
    let put = rig.put("v6").await;
    assert!(matches!(put, CacheState::Invalidated), "{put:?}");
    rig.assert_reads(Some("v6"), Source::Loader).await;
}

#[tokio::test(start_paused = true)]
async fn a_load_from_before_stores_nothing() {
    let rig = rig(MemoryStore::new(100));
    let loaded = rig.database.hold_next_load();
    let reader = rig.reader.clone();
    let reading = tokio::spawn(async move { reader.get(&1).await });
    loaded.reached().await;
    let put = rig.put("v6").await;
    assert!(matches!(put, CacheState::Invalidated), "{put:?}");
    loaded.open();
    let read = reading.await.expect("a task").expect("get");
    assert_eq!(read.as_deref(), Some("v5"));
    rig.assert_reads(Some("v6"), Source::Loader).await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_overtaken_stores_nothing() {
    let rig = rig(MemoryStore::new(100));
    let overtaken = async {
        let put = rig.put("v6").await;
        assert!(matches!(put, CacheState::Invalidated), "{put:?}");
        // Its own commit was before that.
        Ok::<_, io::Error>(Some("v5".to_owned()))
    };
    let written = rig.writer.write(&1, overtaken).await.expect("write");
    assert!(matches!(written.cache, CacheState::Invalidated));
    rig.assert_reads(Some("v6"), Source::Loader).await;
}

#[tokio::test(start_paused = true)]
async fn a_written_entry_has_its_version() {
    let versioned = |builder: WriteThroughBuilder<u64, String>| {
        builder.row_version(|row: &String| version(row))
    };
    let rig = rig_with(MemoryStore::new(100), versioned);
    let write = async { Ok::<_, io::Error>(Some("v6".to_owned())) };
    let written = rig.writer.write(&1, write).await.expect("write");
    assert!(matches!(written.cache, CacheState::Stored(_)));
    let put = rig.tell("v6").await;
    assert!(matches!(put, CacheState::Kept), "{put:?}");
    let put = rig.tell("v8").await;
    assert!(matches!(put, CacheState::Stored(_)), "{put:?}");
    rig.assert_reads(Some("v8"), Source::Store).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_row_takes_older_entries_with_it() {
    let plain = rig(MemoryStore::new(100));
    plain.assert_reads(Some("v5"), Source::Loader).await;
    plain.database.remove(1);
    let put = plain.writer.put_if_newer(&1, 6, None).await;
    assert!(matches!(put, CacheState::Invalidated), "{put:?}");
    plain.assert_reads(None, Source::Loader).await;

    // With the row's last version: it has no other.
    let last = rig(MemoryStore::new(100));
    last.assert_reads(Some("v5"), Source::Loader).await;
    last.database.remove(1);
    let put = last.writer.put_if_newer(&1, 5, None).await;
    assert!(matches!(put, CacheState::Invalidated), "{put:?}");
    last.assert_reads(None, Source::Loader).await;

    let negative = rig_with(MemoryStore::new(100), |builder| {
        builder.negative_ttl(Duration::from_secs(60))
    });
    negative.assert_reads(Some("v5"), Source::Loader).await;
    let put = negative.writer.put_if_newer(&1, 6, None).await;
    assert!(matches!(put, CacheState::Stored(_)), "{put:?}");
    negative.assert_reads(None, Source::Store).await;
    let late = negative.tell("v5").await;
    assert!(matches!(late, CacheState::Kept), "{late:?}");
}

/// A number of another sort says nothing about which is newer.
#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_the_row_s_drops_the_entry() {
    let versioned = |builder: WriteThroughBuilder<u64, String>| {
        builder.row_version(|row: &String| version(row))
    };
    let rig = rig_with(MemoryStore::new(100), versioned);
    rig.assert_reads(Some("v5"), Source::Loader).await;
    let late = "v3".to_owned();
    let put = rig.writer.put_if_newer(&1, 90_100, Some(&late)).await;
    let CacheState::NotStored(error) = put else {
        panic!("{put:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Config);
    rig.assert_reads(Some("v5"), Source::Loader).await;
}

/// What the server has no room for is not said to be stored.
#[tokio::test]
async fn without_room_the_entry_is_dropped_and_said_to_be() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let rig = rig(store);
    rig.assert_reads(Some("v5"), Source::Loader).await;
    let full = ["CONFIG", "SET", "maxmemory", "1"];
    server.command::<String>(&full).await.expect("CONFIG");
    let put = rig.put("v6").await;
    assert!(matches!(put, CacheState::Invalidated), "{put:?}");
    assert_eq!(rig.writer.stats().stored, 0);
    rig.assert_reads(Some("v6"), Source::Loader).await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_can_t_be_stored_drops_what_is_older() {
    let rig = rig_with(MemoryStore::new(100), |builder| builder.max_value_len(3));
    rig.assert_reads(Some("v5"), Source::Loader).await;
    let put = rig.put("v1000").await;
    assert!(matches!(put, CacheState::NotStored(_)), "{put:?}");
    rig.assert_reads(Some("v1000"), Source::Loader).await;
    // A newer one stays as it is.
    let put = rig.tell("v0999").await;
    assert!(matches!(put, CacheState::Kept), "{put:?}");
    rig.assert_reads(Some("v1000"), Source::Store).await;
}

#[tokio::test(start_paused = true)]
async fn with_the_store_down_the_entry_is_dropped_later() {
    let store = FaultStore::new(MemoryStore::new(100));
    let rig = rig(store.clone());
    rig.assert_reads(Some("v5"), Source::Loader).await;
    store.inject(
        Operation::Update("put_if_newer"),
        Fault::Fail(StoreErrorKind::Unavailable),
    );
    let put = rig.put("v6").await;
    let CacheState::Deferred(error) = put else {
        panic!("{put:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Deferred);
    rig.writer.shutdown().await.expect("told by now");
    rig.assert_reads(Some("v6"), Source::Loader).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_is_seen_through() {
    let store = FaultStore::new(MemoryStore::new(100));
    let rig = rig(store.clone());
    rig.assert_reads(Some("v5"), Source::Loader).await;
    rig.database.put(1, "v6");
    store.inject(
        Operation::Update("put_if_newer"),
        Fault::Delay(Duration::from_millis(5)),
    );
    let value = "v6".to_owned();
    let put = rig.writer.put_if_newer(&1, 6, Some(&value));
    assert!(larder_testing::drop_at_await(0, put).await);
    rig.writer.shutdown().await.expect("shutdown");
    rig.assert_reads(Some("v6"), Source::Store).await;
    assert_eq!(rig.writer.tasks(), 0);
    let names = Namespace::new(NAME, 1).expect("a name");
    let address = names.key(&1_u64).expect("a key");
    let record = store.get(&address).await.expect("get").expect("a record");
    assert_eq!(record[4], b'V');
}
