//! What the baselines do, forced, on a real Redis: the race that larder doesn't have, and the tasks that none is
//! left behind of.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use larder_benches::{
    rig::warm_cache, textbook::Textbook, textbook_limit::TextbookLimit, value::User,
};
use larder_cache_aside::CacheAside;
use larder_redis::RedisStore;
use larder_testing::{Gate, RedisServer};

const TTL: Duration = Duration::from_secs(60);

/// A database of one row, whose next read can be held back after it has read.
#[derive(Clone, Default)]
struct Row {
    value: Arc<Mutex<String>>,
    hold: Arc<Mutex<Option<Gate>>>,
}

impl Row {
    fn put(&self, value: &str) {
        *self.value.lock().expect("a lock") = value.to_owned();
    }

    fn hold_next_read(&self) -> Gate {
        let gate = Gate::new();
        *self.hold.lock().expect("a lock") = Some(gate.clone());
        gate
    }

    async fn read(&self) -> Result<Option<String>, Infallible> {
        let value = self.value.lock().expect("a lock").clone();
        let gate = self.hold.lock().expect("a lock").take();
        if let Some(gate) = gate {
            gate.pass().await;
        }
        Ok(Some(value))
    }
}

/// A reader misses and reads v1; the writer commits v2 and invalidates; the reader stores what it has.
#[tokio::test]
async fn the_textbook_leaves_the_old_value() {
    let server = RedisServer::start().await.expect("a server");
    let textbook = Textbook::connect(&server.url(), "row", TTL)
        .await
        .expect("a textbook");
    let row = Row::default();
    row.put("v1");
    let read = row.hold_next_read();
    let reader = tokio::spawn({
        let (textbook, row) = (textbook.clone(), row.clone());
        async move { textbook.get::<String, _, _>(1, row.read()).await.map(drop) }
    });
    read.reached().await;
    row.put("v2");
    textbook.invalidate(1).await.expect("invalidate");
    read.open();
    reader.await.expect("the reader").expect("get");

    let (stale, hit) = textbook
        .get::<String, _, _>(1, row.read())
        .await
        .expect("get");
    assert_eq!((stale.as_deref(), hit), (Some("v1"), true));
}

/// The same interleaving.
#[tokio::test]
async fn larder_never_does() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let row = Row::default();
    let rows: CacheAside<u64, String> = CacheAside::builder(store, "row")
        .ttl(TTL)
        .build({
            let row = row.clone();
            move |_: u64| {
                let row = row.clone();
                async move { row.read().await }
            }
        })
        .expect("a cache");
    row.put("v1");
    let read = row.hold_next_read();
    let reader = tokio::spawn({
        let rows = rows.clone();
        async move { rows.get(&1).await.map(drop) }
    });
    read.reached().await;
    row.put("v2");
    rows.invalidate(&1).await.expect("invalidate");
    read.open();
    reader.await.expect("the reader").expect("get");

    for _ in 0..2 {
        let fresh = rows.get(&1).await.expect("get");
        assert_eq!(fresh.as_deref(), Some("v2"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_256_tasks_none_is_left_without_a_reply_for_two_seconds() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let users = Arc::new(warm_cache::<User>(store, "fair").await.expect("a cache"));
    let replies: Arc<Vec<AtomicU64>> = Arc::new((0..256).map(|_| AtomicU64::new(0)).collect());
    let started = Instant::now();
    let tasks: Vec<_> = (0..replies.len())
        .map(|task| {
            let (users, replies) = (Arc::clone(&users), Arc::clone(&replies));
            tokio::spawn(async move {
                while started.elapsed() < Duration::from_secs(2) {
                    let user = users.get(&(task as u64)).await.expect("get");
                    assert!(user.is_some());
                    replies[task].fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
    let counts: Vec<u64> = replies.iter().map(|count| count.load(SeqCst)).collect();
    let (least, most) = (counts.iter().min(), counts.iter().max());
    println!("replies a task: {least:?} to {most:?}");
    let mean = counts.iter().sum::<u64>() / counts.len() as u64;
    assert!(least.is_some_and(|least| *least > mean / 10), "{counts:?}");
}

/// Who keeps trying is never admitted again, since every try is logged.
#[tokio::test]
async fn the_textbook_limiter_logs_what_it_refuses() {
    let server = RedisServer::start().await.expect("a server");
    let window = Duration::from_secs(1);
    let textbook = TextbookLimit::connect(&server.url(), "limit", 5, window).await;
    let textbook = textbook.expect("a textbook");
    let mut admitted = 0;
    for now_ms in (1_000_000..1_010_000).step_by(100) {
        admitted += u64::from(textbook.check(1, now_ms).await.expect("a check"));
    }
    // Ten seconds of ten requests a second, and five a second are the limit.
    assert_eq!(admitted, 5);
}

/// Requests of the same instant are one in the log.
#[tokio::test]
async fn the_textbook_limiter_admits_too_many_at_once() {
    let server = RedisServer::start().await.expect("a server");
    let window = Duration::from_secs(60);
    let textbook = TextbookLimit::connect(&server.url(), "limit", 5, window).await;
    let textbook = textbook.expect("a textbook");
    let mut admitted = 0;
    for _ in 0..100 {
        admitted += u64::from(textbook.check(1, 1_000_000).await.expect("a check"));
    }
    assert_eq!(admitted, 100);
}
