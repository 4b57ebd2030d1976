//! Redis down, hung, restarted, or behind a bad network.

use std::time::{Duration, Instant};

use bytes::Bytes;
use larder_redis::RedisStore;
use larder_store::{
    ErrorKind, Event, Input, Key, Namespace, Outcome, Reply, Script, Store, Update,
};
use larder_testing::{Proxy, RedisServer, slowest_but_one};
use tokio::time::{sleep, timeout};

const DEADLINE: Duration = Duration::from_millis(100);
const SLACK: Duration = Duration::from_millis(50);
const BACK_WITHIN: Duration = Duration::from_secs(1);
/// No single operation takes longer, whatever the machine does meanwhile.
const LONGEST: Duration = Duration::from_secs(1);

fn key() -> Key {
    Namespace::new("faults", 1)
        .and_then(|space| space.key("a"))
        .expect("a key")
}

/// What an operation fails with that gets no answer, and later, when its connection counts as hung.
const NO_ANSWER: &[ErrorKind] = &[ErrorKind::Timeout, ErrorKind::Unavailable];

async fn store_with(url: &str, deadline: Duration) -> RedisStore {
    let builder = RedisStore::builder(url).expect("a URL");
    builder.deadline(deadline).connect().await.expect("a store")
}

/// How long each of several reads takes, all of which fail in one of these ways.
async fn failures(store: &RedisStore, reads: usize, kinds: &[ErrorKind]) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..reads {
        let started = Instant::now();
        let error = store.get(&key()).await.expect_err("no answer");
        let took = started.elapsed();
        assert!(kinds.contains(&error.kind()), "{error:?}");
        assert!(error.is_transient(), "{error:?}");
        assert!(took < LONGEST, "{took:?}");
        times.push(took);
    }
    times
}

/// How long until the store works again.
async fn recovery(store: &RedisStore) -> Duration {
    let started = Instant::now();
    while store.ping().await.is_err() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "never came back"
        );
        sleep(Duration::from_millis(5)).await;
    }
    started.elapsed()
}

#[tokio::test]
async fn a_killed_server_fails_at_once_and_is_used_again_after_its_restart() {
    let server = RedisServer::start().await.expect("a server");
    let store = store_with(&server.url(), 5 * LONGEST).await;
    server.kill().await.expect("kill");
    let times = failures(&store, 20, &[ErrorKind::Unavailable]).await;
    assert!(slowest_but_one(&times) < SLACK, "{times:?}");
    server.restart().await.expect("restart");
    let took = recovery(&store).await;
    assert!(took < BACK_WITHIN, "{took:?}");
    assert!(store.stats().reconnects >= 1);
}

#[tokio::test]
async fn a_hung_server_fails_within_the_deadline_and_is_used_again_when_it_goes_on() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    server.pause().expect("pause");
    // Until the connections count as hung.
    let times = failures(&store, 3, NO_ANSWER).await;
    assert!(slowest_but_one(&times) < DEADLINE + SLACK, "{times:?}");
    failures(&store, 7, NO_ANSWER).await;
    // Nobody waits for them any more.
    let times = failures(&store, 9, NO_ANSWER).await;
    assert!(slowest_but_one(&times) < SLACK, "{times:?}");
    server.resume().expect("resume");
    let took = recovery(&store).await;
    assert!(took < BACK_WITHIN, "{took:?}");
}

#[tokio::test]
async fn a_black_hole_is_noticed_and_left() {
    let server = RedisServer::start().await.expect("a server");
    let proxy = Proxy::start(server.port()).await.expect("a proxy");
    let url = server.url_on_port(proxy.port());
    let store = RedisStore::connect(&url).await.expect("a store");
    proxy.black_hole(true);
    let times = failures(&store, 4, NO_ANSWER).await;
    assert!(slowest_but_one(&times) < DEADLINE + SLACK, "{times:?}");
    proxy.black_hole(false);
    let took = recovery(&store).await;
    assert!(took < BACK_WITHIN, "{took:?}");
}

#[tokio::test]
async fn a_reset_connection_is_replaced() {
    let server = RedisServer::start().await.expect("a server");
    let proxy = Proxy::start(server.port()).await.expect("a proxy");
    let url = server.url_on_port(proxy.port());
    let store = RedisStore::connect(&url).await.expect("a store");
    for _ in 0..5 {
        proxy.reset();
        let took = recovery(&store).await;
        assert!(took < BACK_WITHIN, "{took:?}");
    }
}

#[tokio::test]
async fn a_slow_network_is_waited_for_up_to_the_deadline() {
    let server = RedisServer::start().await.expect("a server");
    let proxy = Proxy::start(server.port()).await.expect("a proxy");
    let url = server.url_on_port(proxy.port());
    let store = RedisStore::connect(&url).await.expect("a store");
    proxy.delay(DEADLINE / 4);
    assert_eq!(store.get(&key()).await.expect("slow"), None);
    proxy.delay(DEADLINE);
    let error = store.get(&key()).await.expect_err("too slow");
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

/// Without TCP_NODELAY a command waits until the one before is acknowledged, which over a network is when its reply comes.
#[tokio::test]
async fn a_command_is_sent_before_the_reply_to_the_one_before() {
    const DELAY: Duration = Duration::from_millis(20);
    let server = RedisServer::start().await.expect("a server");
    let proxy = Proxy::start(server.port()).await.expect("a proxy");
    let store = store_with(&server.url_on_port(proxy.port()), 20 * DELAY).await;
    let mut times = Vec::new();
    for _ in 0..3 {
        // Until the kernel acknowledges with replies only.
        proxy.delay(Duration::ZERO);
        for _ in 0..50 {
            store.get(&key()).await.expect("get");
        }
        proxy.delay(DELAY);
        let first = tokio::spawn({
            let store = store.clone();
            async move { store.get(&key()).await }
        });
        sleep(DELAY / 10).await;
        let started = Instant::now();
        store.get(&key()).await.expect("get");
        times.push(started.elapsed());
        first.await.expect("a task").expect("get");
    }
    // The proxy takes up the second one when it has passed the first one on: one delay more, and not a round trip more.
    assert!(slowest_but_one(&times) < DELAY * 7 / 2, "{times:?}");
}

#[tokio::test]
async fn a_store_can_start_before_its_server() {
    let server = RedisServer::start().await.expect("a server");
    server.kill().await.expect("kill");
    let builder = RedisStore::builder(&server.url()).expect("a URL");
    let store = builder.connect_in_background().expect("a store");
    assert_eq!(
        store.get(&key()).await.expect_err("down").kind(),
        ErrorKind::Unavailable
    );
    server.restart().await.expect("restart");
    let took = recovery(&store).await;
    assert!(took < BACK_WITHIN, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_all_hear_of_an_outage_and_none_is_stuck() {
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(until_all_have_failed().await);
    }
    assert!(slowest_but_one(&times) < DEADLINE + 2 * SLACK, "{times:?}");
}

async fn until_all_have_failed() -> Duration {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    server.pause().expect("pause");
    let started = Instant::now();
    let tasks: Vec<_> = (0..256)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.get(&key()).await.is_err() })
        })
        .collect();
    for task in tasks {
        assert!(task.await.expect("a task"));
    }
    let took = started.elapsed();
    assert!(took < LONGEST, "{took:?}");
    server.resume().expect("resume");
    took
}

fn announce(input: Input<'_>) -> Outcome {
    let _ = input;
    Outcome::keep(Reply::Nil).notify(Some(Bytes::from_static(b"hello")))
}

const ANNOUNCE_LUA: &str =
    "local function step(record, args, now_us) return nil, nil, nil, nil, 'hello' end";

static ANNOUNCE: Script = Script::new("announce", &[ANNOUNCE_LUA], announce);

#[tokio::test]
async fn subscriptions_survive_a_restart_and_tell_of_the_gap() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let mut events = store.subscribe(&key()).await.expect("subscribe");
    server.kill().await.expect("kill");
    server.restart().await.expect("restart");
    let gap = timeout(Duration::from_secs(5), events.next())
        .await
        .expect("in time");
    assert_eq!(gap, Some(Event::Gap));
    recovery(&store).await;
    store
        .update(&key(), &Update::new(&ANNOUNCE))
        .await
        .expect("update");
    let message = timeout(Duration::from_secs(5), events.next())
        .await
        .expect("in time");
    assert_eq!(message, Some(Event::Message(Bytes::from_static(b"hello"))));
}

#[tokio::test]
async fn a_flushed_script_cache_costs_one_more_round_trip_and_nothing_else() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let update = Update::new(&ANNOUNCE);
    let pair = [(key(), update.clone()), (key(), update.clone())];
    let mut watch = server.watch().await.expect("watch");
    store.update(&key(), &update).await.expect("unknown");
    assert_eq!(
        watch.commands().await.expect("commands"),
        ["EVALSHA", "EVAL"]
    );
    store.update(&key(), &update).await.expect("known");
    assert_eq!(watch.commands().await.expect("commands"), ["EVALSHA"]);
    server
        .command::<String>(&["SCRIPT", "FLUSH"])
        .await
        .expect("flush");
    watch.commands().await.expect("the flush");
    for reply in store.update_many(&pair).await.expect("unknown") {
        assert_eq!(reply.expect("a reply"), Reply::Nil);
    }
    assert_eq!(
        watch.commands().await.expect("commands"),
        ["EVALSHA", "EVALSHA", "EVAL", "EVAL"]
    );
}
