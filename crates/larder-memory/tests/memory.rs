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

/// Tells the count, and begins anew.
fn take(input: Input<'_>) -> Outcome {
    let digits = input.record.and_then(|record| record.first_chunk());
    let counted = digits.map_or(0, |digits| u32::from_le_bytes(*digits));
    Outcome::new(Write::Delete, Reply::Int(counted.into()))
}

static TAKE: Script = Script::new("take", &[], take);

async fn run(store: &MemoryStore, update: &Update) -> i64 {
    let reply = store.update(&key(1), update).await.expect("a reply");
    reply.into_int().expect("a number")
}

fn stores() -> [MemoryStore; 2] {
    let by_bytes = MemoryStore::builder().max_bytes(64 << 20).build();
    [MemoryStore::new(10), by_bytes.expect("a store")]
}

const UPDATES: i64 = 20_000;

/// However a record is changed, nobody's change is lost, and it is there all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn updates_at_once_are_one_after_another() {
    for store in stores() {
        run(&store, &Update::new(&COUNT)).await;
        let count = |store: MemoryStore| async move {
            let mut counted = Vec::new();
            for _ in 0..UPDATES {
                counted.push(run(&store, &Update::new(&COUNT)).await);
            }
            counted
        };
        let counting: Vec<_> = (0..3).map(|_| tokio::spawn(count(store.clone()))).collect();
        let mut seen = 0;
        while seen < 3 * UPDATES as u32 {
            let record = store.get(&key(1)).await.expect("get").expect("a record");
            let counted = u32::from_le_bytes(*record.first_chunk().expect("a count"));
            assert!(counted >= seen, "{counted} after {seen}");
            seen = counted;
            tokio::task::yield_now().await;
        }
        let mut counted = vec![1];
        for task in counting {
            counted.extend(task.await.expect("a task"));
        }
        counted.sort_unstable();
        assert!(counted.into_iter().eq(1..=3 * UPDATES + 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_deleted_meanwhile_is_counted_once() {
    for store in stores() {
        let count = |store: MemoryStore| async move {
            for _ in 0..UPDATES {
                run(&store, &Update::new(&COUNT)).await;
            }
        };
        let take = |store: MemoryStore| async move {
            let mut taken = 0;
            for _ in 0..UPDATES / 4 {
                taken += run(&store, &Update::new(&TAKE)).await;
            }
            taken
        };
        let counting: Vec<_> = (0..2).map(|_| tokio::spawn(count(store.clone()))).collect();
        let taking: Vec<_> = (0..2).map(|_| tokio::spawn(take(store.clone()))).collect();
        for task in counting {
            task.await.expect("a task");
        }
        let mut taken = 0;
        for task in taking {
            taken += task.await.expect("a task");
        }
        taken += run(&store, &Update::new(&TAKE)).await;
        assert_eq!(taken, 2 * UPDATES);
    }
}

/// Fails as no script should, once there is a record.
fn broken(input: Input<'_>) -> Outcome {
    assert!(input.record.is_none(), "broken");
    Outcome::keep(Reply::Nil)
}

static BROKEN: Script = Script::new("broken", &[], broken);

#[tokio::test]
async fn a_script_that_panics_leaves_the_record_as_it_was() {
    let store = MemoryStore::new(10);
    // The record is changed where it lies after one of these counts, and replaced after the other.
    for counted in 1..=5 {
        assert_eq!(run(&store, &Update::new(&COUNT)).await, counted);
        let broken = tokio::spawn({
            let store = store.clone();
            async move { store.update(&key(1), &Update::new(&BROKEN)).await }
        });
        assert!(broken.await.expect_err("a panic").is_panic());
    }
}

/// Those who come back soon after they had to go are kept for longer: the map remembers them.
#[tokio::test]
async fn records_that_are_only_updated_stay_while_they_are_used() {
    let store = MemoryStore::new(1_000);
    let (mut visits, mut known) = (0, 0);
    // Thirty come thirty times each, and then thirty others; and for each of them nine who come once.
    for round in 0..300_u64 {
        for place in 0..30 {
            let id = round / 30 * 30 + place;
            let counted = store.update(&key(id), &Update::new(&COUNT)).await;
            visits += 1;
            known += i32::from(counted.expect("a reply") != Reply::Int(1));
            for once in 0..9 {
                let id = 1_000_000 + (round * 30 + place) * 9 + once;
                let counted = store.update(&key(id), &Update::new(&COUNT)).await;
                counted.expect("a reply");
            }
        }
    }
    println!("{known} of {visits} visitors were known");
    assert!(known * 10 >= visits * 9, "{known} of {visits}");
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
