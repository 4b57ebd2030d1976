//! What is special about the memory store.

use std::time::Duration;

use bytes::Bytes;
use larder_memory::MemoryStore;
use larder_store::{
    ErrorKind, Input, Key, Namespace, NewTtl, Outcome, Reply, Script, Store, Update, Write,
};

fn key(id: u64) -> Key {
    Namespace::new("memory", 1)
        .and_then(|space| space.key(&id))
        .expect("a key")
}

#[tokio::test]
async fn holds_no_more_entries_than_it_may() {
    let store = MemoryStore::new(100);
    for id in 0..10_000 {
        store
            .set(&key(id), Bytes::from_static(b"x"), None)
            .await
            .expect("set");
    }
    assert!(store.len() <= 100, "{} entries", store.len());
    assert!(store.len() >= 50, "{} entries", store.len());
}

#[tokio::test]
async fn holds_no_more_bytes_than_it_may() {
    let store = MemoryStore::builder()
        .max_bytes(100_000)
        .build()
        .expect("a store");
    for id in 0..1_000 {
        store
            .set(&key(id), vec![0; 1_000].into(), None)
            .await
            .expect("set");
    }
    assert!(store.len() <= 100, "{} entries of 1 kB", store.len());
}

#[tokio::test]
async fn refuses_values_over_the_limit_and_keeps_what_was_there() {
    let store = MemoryStore::builder()
        .max_value_len(10)
        .build()
        .expect("a store");
    store
        .set(&key(1), Bytes::from_static(b"old"), None)
        .await
        .expect("set");
    let refused = store.set(&key(1), vec![0; 11].into(), None).await;
    assert_eq!(
        refused.map_err(|error| error.kind()),
        Err(ErrorKind::ValueTooLarge)
    );
    assert_eq!(
        store.get(&key(1)).await.expect("get").as_deref(),
        Some(&b"old"[..])
    );
}

#[test]
fn refuses_a_capacity_of_zero() {
    let refused = MemoryStore::builder().max_entries(0).build();
    assert_eq!(
        refused.map(drop).map_err(|error| error.kind()),
        Err(ErrorKind::Config)
    );
}

#[tokio::test(start_paused = true)]
async fn expiry_is_exact_to_the_millisecond_in_virtual_time() {
    let store = MemoryStore::new(10);
    let ttl = Duration::from_millis(1_000);
    store
        .set(&key(1), Bytes::from_static(b"x"), Some(ttl))
        .await
        .expect("set");
    tokio::time::advance(Duration::from_millis(999)).await;
    assert!(store.get(&key(1)).await.expect("get").is_some());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(store.get(&key(1)).await.expect("get").is_none());
}

#[tokio::test]
async fn a_clock_paused_later_is_obeyed_at_once() {
    let store = MemoryStore::new(10);
    let ttl = Duration::from_secs(60);
    store
        .set(&key(1), Bytes::from_static(b"x"), Some(ttl))
        .await
        .expect("set");
    tokio::time::pause();
    tokio::time::advance(ttl).await;
    assert!(store.get(&key(1)).await.expect("get").is_none());
}

#[tokio::test]
async fn expired_entries_that_are_looked_at_leave() {
    let store = MemoryStore::new(10);
    tokio::time::pause();
    store
        .set(
            &key(1),
            Bytes::from_static(b"x"),
            Some(Duration::from_millis(1)),
        )
        .await
        .expect("set");
    tokio::time::advance(Duration::from_millis(2)).await;
    assert!(store.get(&key(1)).await.expect("get").is_none());
    assert!(store.is_empty());
}

#[tokio::test]
async fn subscriptions_leave_nothing_behind() {
    let store = MemoryStore::new(10);
    for id in 0..1_000 {
        drop(store.subscribe(&key(id)).await.expect("subscribe"));
    }
    assert_eq!(store.subscribed_keys(), 0);
}

/// Counts in the first four bytes. The record is short, longer and so long that it isn't changed where it lies, in turn.
fn count(input: Input<'_>) -> Outcome {
    let digits = input.record.and_then(|record| record.first_chunk());
    let counted = digits.map_or(1, |digits| u32::from_le_bytes(*digits) + 1);
    let mut record = counted.to_le_bytes().to_vec();
    record.resize([4, 5, 500, 4, 2_000][counted as usize % 5], 0);
    let write = Write::Set(record.into(), NewTtl::Millis(60_000));
    let told = counted
        .is_multiple_of(7)
        .then(|| Bytes::from_static(b"seven"));
    Outcome::new(write, Reply::Int(counted.into())).notify(told)
}

static COUNT: Script = Script::new("count", &[], count);

/// However a record is changed, nobody's change is lost: see the two ways of `update`.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_at_once_are_one_after_another() {
    const TASKS: usize = 4;
    const UPDATES: usize = 20_000;
    let by_bytes = MemoryStore::builder().max_bytes(64 << 20).build();
    for store in [MemoryStore::new(10), by_bytes.expect("a store")] {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut counted = Vec::with_capacity(UPDATES);
                    for _ in 0..UPDATES {
                        let reply = store.update(&key(1), &Update::new(&COUNT)).await;
                        counted.push(reply.expect("a reply").into_int().expect("a number"));
                    }
                    counted
                })
            })
            .collect();
        let mut counted = Vec::new();
        for task in tasks {
            counted.extend(task.await.expect("a task"));
        }
        counted.sort_unstable();
        assert!(counted.into_iter().eq(1..=(TASKS * UPDATES) as i64));
    }
}

#[tokio::test]
async fn an_update_that_is_refused_leaves_the_record_as_it_was() {
    let store = MemoryStore::builder().max_value_len(100).build();
    let store = store.expect("a store");
    let count = Update::new(&COUNT);
    for counts in 1..3 {
        let reply = store.update(&key(1), &count).await.expect("5 bytes");
        assert_eq!(reply, Reply::Int(1));
        for _ in 0..counts {
            let error = store.update(&key(1), &count).await.expect_err("500 bytes");
            assert_eq!(error.kind(), ErrorKind::ValueTooLarge);
            let kept = store.get(&key(1)).await.expect("get");
            assert_eq!(kept.as_deref(), Some(&[1, 0, 0, 0, 0][..]));
        }
        assert_eq!(store.delete(&[key(1)]).await.expect("delete"), 1);
    }
}
