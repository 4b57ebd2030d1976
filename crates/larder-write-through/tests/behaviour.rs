//! What write-through promises, with every failure of the store and the database, and a reader beside it.

use std::{io, sync::Arc, time::Duration};

use larder_cache::{KeyspaceBuilder, Lookup};
use larder_cache_aside::{CacheAside, Source};
use larder_memory::MemoryStore;
use larder_redis::RedisStore;
use larder_store::{ErrorKind as StoreErrorKind, Key, Namespace, Store};
use larder_testing::{Database, Fault, FaultStore, Gate, Operation, RedisServer, drop_at_await};
use larder_write_through::{
    CacheState, ErrorKind, WriteError, WriteThrough, WriteThroughBuilder, Writer, async_trait,
};
use tokio::time::{advance, sleep};

const NAME: &str = "row";
const HOLD: Duration = Duration::from_secs(3);

/// The database's other side.
struct Rows(Database);

#[async_trait]
impl Writer<u64, String> for Rows {
    type Error = io::Error;

    async fn create(&self, row: &String) -> io::Result<u64> {
        self.0.put(77, row);
        Ok(77)
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

struct Rig {
    database: Database,
    writer: WriteThrough<u64, String>,
    reader: CacheAside<u64, String>,
    store: Arc<dyn Store>,
}

fn rig_with(
    store: impl Into<Arc<dyn Store>>,
    settings: impl Fn(WriteThroughBuilder<u64, String>) -> WriteThroughBuilder<u64, String>,
) -> Rig {
    let store = store.into();
    let database = Database::with((0..100).map(|id| (id, "v0")));
    let builder = WriteThrough::builder(Arc::clone(&store), NAME).hold(HOLD);
    Rig {
        writer: settings(builder)
            .build(Rows(database.clone()))
            .expect("a cache"),
        reader: CacheAside::builder(Arc::clone(&store), NAME)
            .negative_ttl(Duration::from_secs(60))
            .build(database.clone())
            .expect("a cache"),
        database,
        store,
    }
}

fn rig(store: impl Into<Arc<dyn Store>>) -> Rig {
    rig_with(store, |builder| builder)
}

impl Rig {
    async fn assert_reads(&self, id: u64, row: Option<&str>) {
        assert_eq!(self.reader.get(&id).await.expect("get").as_deref(), row);
    }

    async fn record(&self, id: u64) -> Option<u8> {
        let record = self.store.get(&address(id)).await.expect("get");
        record.map(|record| record[4])
    }
}

fn address(id: u64) -> Key {
    let names = Namespace::new(NAME, 1).expect("a name");
    names.key(&id).expect("a key")
}

#[tokio::test(start_paused = true)]
async fn what_was_written_is_read_without_a_load() {
    let rig = rig(MemoryStore::new(1_000));
    rig.assert_reads(1, Some("v0")).await;
    let written = rig
        .writer
        .update(&1, "v1".to_owned())
        .await
        .expect("update");
    assert_eq!(written.value.as_deref(), Some("v1"));
    let CacheState::Stored(ttl) = written.cache else {
        panic!("{:?}", written.cache);
    };
    assert!(ttl > Duration::from_secs(200));
    let read = rig.reader.fetch(&1).await.expect("fetch");
    assert_eq!(
        (read.value.as_deref(), read.source),
        (Some("v1"), Source::Store)
    );
    assert_eq!(rig.database.loads(), 1);
}

/// Refresh-ahead goes by what a load costs.
#[tokio::test(start_paused = true)]
async fn what_was_written_carries_the_time_its_write_took() {
    let rig = rig(MemoryStore::new(1_000));
    let write = async {
        sleep(Duration::from_millis(70)).await;
        Ok::<_, io::Error>(Some("v1".to_owned()))
    };
    rig.writer.write(&1, write).await.expect("write");
    let keyspace = KeyspaceBuilder::<u64, String>::new(Arc::clone(&rig.store), NAME).build();
    let Lookup::Hit(entry) = keyspace.expect("a keyspace").lookup(&1).await else {
        panic!("it was stored");
    };
    assert_eq!(entry.cost(), Duration::from_millis(70));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_row_is_gone_and_remembered_as_that_where_negative_entries_are() {
    let plain = rig(MemoryStore::new(1_000));
    plain.assert_reads(1, Some("v0")).await;
    let deleted = plain.writer.delete(&1).await.expect("delete");
    assert!(matches!(deleted, CacheState::Invalidated), "{deleted:?}");
    plain.assert_reads(1, None).await;

    let negative = rig_with(MemoryStore::new(1_000), |builder| {
        builder.negative_ttl(Duration::from_secs(60))
    });
    let deleted = negative.writer.delete(&1).await.expect("delete");
    assert!(matches!(deleted, CacheState::Stored(_)), "{deleted:?}");
    negative.assert_reads(1, None).await;
    assert_eq!(negative.database.loads(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_row_ends_a_negative_entry() {
    let rig = rig(MemoryStore::new(1_000));
    rig.database.remove(77);
    rig.assert_reads(77, None).await;
    let created = rig.writer.create("new".to_owned()).await.expect("create");
    assert_eq!(created.key, 77);
    assert!(matches!(created.cache, CacheState::Invalidated));
    rig.assert_reads(77, Some("new")).await;
}

/// Two writers whose commits and whose ends come in any order: the reader finds what was committed last.
#[tokio::test]
async fn overlapping_writers_never_leave_the_older_value() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let rig = rig(store);
    for (id, first_ends_first) in [(1, true), (2, false)] {
        rig.assert_reads(id, Some("v0")).await;
        let gates = [Gate::new(), Gate::new()];
        let write = |row: &'static str, gate: Gate| {
            let (writer, database) = (rig.writer.clone(), rig.database.clone());
            tokio::spawn(async move {
                let write = async {
                    database.put(id, row);
                    gate.pass().await;
                    Ok::<_, io::Error>(Some(row.to_owned()))
                };
                writer.write(&id, write).await.expect("write").cache
            })
        };
        let first = write("v1", gates[0].clone());
        gates[0].reached().await;
        let second = write("v2", gates[1].clone());
        gates[1].reached().await;
        // Meanwhile nobody stores anything.
        rig.assert_reads(id, Some("v2")).await;
        let states = if first_ends_first {
            gates[0].open();
            let state = first.await.expect("a task");
            gates[1].open();
            [state, second.await.expect("a task")]
        } else {
            gates[1].open();
            let state = second.await.expect("a task");
            gates[0].open();
            [state, first.await.expect("a task")]
        };
        for state in states {
            assert!(matches!(state, CacheState::Invalidated), "{state:?}");
        }
        rig.assert_reads(id, Some("v2")).await;
        rig.assert_reads(id, Some("v2")).await;
        assert_eq!(rig.record(id).await, Some(b'V'));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_loaded_before_a_write_stores_nothing() {
    let rig = rig(MemoryStore::new(1_000));
    let loaded = rig.database.hold_next_load();
    let reader = tokio::spawn({
        let reader = rig.reader.clone();
        async move { reader.get(&1).await }
    });
    loaded.reached().await;
    rig.writer
        .update(&1, "v1".to_owned())
        .await
        .expect("update");
    loaded.open();
    assert_eq!(
        reader.await.expect("a task").expect("get").as_deref(),
        Some("v0")
    );
    rig.assert_reads(1, Some("v1")).await;
    assert_eq!(rig.database.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_dies_between_commit_and_end_leaves_nothing_stale_after_its_hold() {
    let rig = rig(MemoryStore::new(1_000));
    rig.assert_reads(1, Some("v0")).await;
    let committed = Gate::new();
    let dying = tokio::spawn({
        let (writer, database, committed) =
            (rig.writer.clone(), rig.database.clone(), committed.clone());
        async move {
            let write = async {
                database.put(1, "v1");
                committed.pass().await;
                Ok::<_, io::Error>(Some("v1".to_owned()))
            };
            writer.write(&1, write).await
        }
    });
    committed.reached().await;
    dying.abort();
    assert!(dying.await.expect_err("aborted").is_cancelled());
    rig.assert_reads(1, Some("v1")).await;
    assert_eq!(rig.record(1).await, Some(b'H'));
    advance(HOLD).await;
    sleep(Duration::from_millis(1)).await;
    rig.assert_reads(1, Some("v1")).await;
    assert_eq!(rig.record(1).await, Some(b'V'));
    rig.assert_reads(1, Some("v1")).await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_stores_nothing() {
    let rig = rig(MemoryStore::new(1_000));
    let failed = |error: WriteError| async move { Err::<Option<String>, _>(error) };
    let rolled_back = WriteError::rolled_back(io::Error::other("a constraint"));
    let error = rig
        .writer
        .write(&1, failed(rolled_back))
        .await
        .expect_err("a failure");
    assert_eq!(error.kind(), ErrorKind::Writer);
    assert_eq!(
        error
            .writer_error::<io::Error>()
            .expect("its source")
            .to_string(),
        "a constraint"
    );
    // The key is free at once.
    assert_eq!(rig.record(1).await, None);

    let unknown = WriteError::from(io::Error::other("connection lost"));
    let error = rig
        .writer
        .write(&1, failed(unknown))
        .await
        .expect_err("a failure");
    assert_eq!(error.kind(), ErrorKind::Writer);
    // The commit may still come, so the key stays uncached until the hold runs out.
    assert_eq!(rig.record(1).await, Some(b'H'));
    rig.assert_reads(1, Some("v0")).await;
    assert_eq!(rig.record(1).await, Some(b'H'));
    advance(HOLD).await;
    rig.assert_reads(1, Some("v0")).await;
    assert_eq!(rig.record(1).await, Some(b'V'));
}

#[tokio::test(start_paused = true)]
async fn with_the_store_down_the_write_is_made_and_the_store_told_later() {
    let store = FaultStore::new(MemoryStore::new(1_000));
    let rig = rig(store.clone());
    for id in [1, 2] {
        rig.assert_reads(id, Some("v0")).await;
    }
    store.down(Some(StoreErrorKind::Unavailable));
    for row in ["v1", "v2", "v3"] {
        let written = rig.writer.update(&1, row.to_owned()).await.expect("update");
        assert!(
            matches!(written.cache, CacheState::Deferred(_)),
            "{:?}",
            written.cache
        );
    }
    rig.writer
        .update(&2, "v1".to_owned())
        .await
        .expect("update");
    assert_eq!(rig.writer.deferred(), 2);
    assert!(rig.writer.stats().deferred >= 2);
    store.down(None);
    rig.writer.shutdown().await.expect("told");
    assert_eq!((rig.writer.deferred(), rig.writer.tasks()), (0, 0));
    rig.assert_reads(1, Some("v3")).await;
    rig.assert_reads(2, Some("v1")).await;
    assert_eq!(rig.record(1).await, Some(b'V'));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_was_deferred_ends_its_hold() {
    let store = FaultStore::new(MemoryStore::new(1_000));
    let rig = rig(store.clone());
    for fault in [
        || Fault::Fail(StoreErrorKind::Unavailable),
        || Fault::DropReply,
        || Fault::Late,
    ] {
        rig.assert_reads(1, Some("v0")).await;
        store.inject(Operation::Update("end"), fault());
        let written = rig
            .writer
            .update(&1, "v1".to_owned())
            .await
            .expect("update");
        assert!(
            matches!(written.cache, CacheState::Deferred(_)),
            "{:?}",
            written.cache
        );
        rig.writer.shutdown().await.expect("told");
        store.deliver_late().await;
        assert_ne!(rig.record(1).await, Some(b'H'));
        rig.assert_reads(1, Some("v1")).await;
        rig.database.put(1, "v0");
        rig.writer.invalidate(&1).await.expect("invalidate");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_was_not_acknowledged_is_not_relied_on() {
    let store = FaultStore::new(MemoryStore::new(1_000));
    let rig = rig(store.clone());
    for fault in [
        || Fault::Fail(StoreErrorKind::Unavailable),
        || Fault::DropReply,
        || Fault::Late,
    ] {
        rig.assert_reads(1, Some("v0")).await;
        store.inject(Operation::Update("begin"), fault());
        let written = rig
            .writer
            .update(&1, "v1".to_owned())
            .await
            .expect("update");
        assert!(
            matches!(written.cache, CacheState::Invalidated),
            "{:?}",
            written.cache
        );
        store.deliver_late().await;
        rig.assert_reads(1, Some("v1")).await;
        rig.database.put(1, "v0");
        sleep(HOLD).await;
        rig.writer.invalidate(&1).await.expect("invalidate");
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_store_is_required_the_write_is_refused() {
    let store = FaultStore::new(MemoryStore::new(1_000));
    let rig = rig_with(store.clone(), |builder| builder.store_required(true));
    store.inject(
        Operation::Update("begin"),
        Fault::Fail(StoreErrorKind::Unavailable),
    );
    let error = rig
        .writer
        .update(&1, "v1".to_owned())
        .await
        .expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.is_transient());
    assert_eq!(rig.writer.deferred(), 0);
    rig.assert_reads(1, Some("v0")).await;
    rig.writer
        .update(&1, "v1".to_owned())
        .await
        .expect("update");
    rig.assert_reads(1, Some("v1")).await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_can_t_be_stored_is_written_and_the_entry_dropped() {
    let rig = rig_with(MemoryStore::new(1_000), |builder| builder.max_value_len(10));
    rig.assert_reads(1, Some("v0")).await;
    let long = "v1".repeat(10);
    let written = rig.writer.update(&1, long.clone()).await.expect("update");
    let CacheState::NotStored(error) = written.cache else {
        panic!("{:?}", written.cache);
    };
    assert_eq!(
        error.kind(),
        ErrorKind::Store(StoreErrorKind::ValueTooLarge)
    );
    rig.assert_reads(1, Some(&long)).await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_the_store_refuses_ends_the_hold_all_the_same() {
    let store = FaultStore::new(MemoryStore::new(1_000));
    let rig = rig(store.clone());
    store.inject(
        Operation::Update("end"),
        Fault::Fail(StoreErrorKind::ValueTooLarge),
    );
    let written = rig
        .writer
        .update(&1, "v1".to_owned())
        .await
        .expect("update");
    let CacheState::NotStored(error) = written.cache else {
        panic!("{:?}", written.cache);
    };
    assert_eq!(
        error.kind(),
        ErrorKind::Store(StoreErrorKind::ValueTooLarge)
    );
    assert_eq!(rig.record(1).await, None);
    rig.assert_reads(1, Some("v1")).await;
    assert_eq!(rig.record(1).await, Some(b'V'));
}

#[tokio::test]
async fn many_rows_are_two_round_trips() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let rig = rig(store);
    rig.writer
        .update(&99, "v1".to_owned())
        .await
        .expect("update");
    let mut watch = server.watch().await.expect("watch");
    let ids: Vec<u64> = (0..20).collect();
    let database = rig.database.clone();
    let write = async {
        let row = |id: &u64| {
            database.put(*id, "v1");
            Some("v1".to_owned())
        };
        Ok::<_, io::Error>(ids.iter().map(row).collect())
    };
    let written = rig.writer.write_many(&ids, write).await.expect("write");
    assert_eq!(watch.commands().await.expect("commands"), ["EVALSHA"; 40]);
    let stored = written
        .cache
        .iter()
        .filter(|state| matches!(state, CacheState::Stored(_)));
    assert_eq!((stored.count(), written.cache.len()), (20, 20));
}

/// Rows go by their places, so it takes one for each key.
#[tokio::test(start_paused = true)]
async fn another_number_of_rows_stores_none() {
    let rig = rig(MemoryStore::new(1_000));
    for rows in [1, 3] {
        let write = async { Ok::<_, io::Error>(vec![Some("v1".to_owned()); rows]) };
        let written = rig.writer.write_many(&[1, 2], write).await.expect("write");
        for (id, state) in [1, 2].into_iter().zip(written.cache) {
            assert!(state.is_consistent());
            let error = state.error().expect("it is not stored");
            assert_eq!(error.kind(), ErrorKind::Writer);
            assert_eq!(rig.record(id).await, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn writes_are_counted() {
    let rig = rig(MemoryStore::new(1_000));
    for id in 1..=3 {
        let updated = rig.writer.update(&id, "v1".to_owned()).await;
        assert!(updated.expect("update").cache.is_consistent());
    }
    let deleted = rig.writer.delete(&1).await.expect("delete");
    assert!(deleted.is_consistent());
    let lost = async { Err::<Option<String>, _>(io::Error::from(io::ErrorKind::TimedOut)) };
    rig.writer.write(&9, lost).await.expect_err("it is lost");
    let stats = rig.writer.stats();
    assert_eq!((stats.writes, stats.write_errors, stats.stored), (5, 1, 3));
}

/// Both sides in one process, with the same settings and statistics.
#[tokio::test(start_paused = true)]
async fn beside_a_cache_it_writes_what_that_reads() {
    let database = Database::with([(1, "v0")]);
    let reader: CacheAside<u64, String> = CacheAside::builder(MemoryStore::new(100), NAME)
        .version(7)
        .build(database.clone())
        .expect("a cache");
    let writer = WriteThrough::beside(reader.keyspace(), Rows(database.clone()));
    let written = writer.update(&1, "v1".to_owned()).await.expect("update");
    assert!(matches!(written.cache, CacheState::Stored(_)));
    let read = reader.fetch(&1).await.expect("fetch");
    assert_eq!(read.source, Source::Store);
    assert_eq!((reader.stats().stored, writer.stats().hits), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_writer_is_the_caller_s_and_the_hold_runs_out() {
    let rig = rig(MemoryStore::new(1_000));
    let writer = rig.writer.clone();
    let panicking = tokio::spawn(async move {
        let write = async { panic!("on purpose") };
        writer.write::<io::Error>(&1, write).await
    });
    assert!(panicking.await.expect_err("a panic").is_panic());
    assert_eq!(rig.record(1).await, Some(b'H'));
    sleep(HOLD).await;
    rig.assert_reads(1, Some("v0")).await;
    assert_eq!(rig.record(1).await, Some(b'V'));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_dropped_at_any_await_leaves_no_hold_beyond_its_lifetime() {
    let store = FaultStore::new(MemoryStore::new(1_000));
    let rig = rig(store.clone());
    let mut dropped = 0;
    for waits in 0.. {
        let id = waits as u64;
        for operation in ["begin", "end"] {
            store.inject(
                Operation::Update(operation),
                Fault::Delay(Duration::from_millis(1)),
            );
        }
        rig.assert_reads(id, Some("v0")).await;
        let database = rig.database.clone();
        let write = async {
            sleep(Duration::from_millis(1)).await;
            database.put(id, "v1");
            Ok::<_, io::Error>(Some("v1".to_owned()))
        };
        if !drop_at_await(waits, rig.writer.write(&id, write)).await {
            break;
        }
        dropped += 1;
        rig.writer.shutdown().await.expect("background");
        sleep(HOLD).await;
        let row = rig.reader.get(&id).await.expect("get");
        rig.reader.shutdown().await.expect("background");
        assert_eq!(rig.record(id).await, Some(b'V'), "after {waits} awaits");
        rig.assert_reads(id, row.as_deref()).await;
        rig.database.put(id, "v0");
    }
    // begin, the writer, end.
    assert!(dropped >= 3, "only {dropped} awaits");
}
