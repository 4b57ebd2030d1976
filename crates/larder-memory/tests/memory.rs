//! What is special about the memory store.

use std::time::Duration;

use bytes::Bytes;
use larder_memory::MemoryStore;
use larder_store::{ErrorKind, Key, Namespace, Store};

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
