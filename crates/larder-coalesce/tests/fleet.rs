//! Several processes, one cold key, a real Redis.
//!
//! The processes are this very test binary: a test that starts others tells them what to do by their environment.

mod common;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use common::builder;
use larder_redis::RedisStore;
use larder_testing::{RedisServer, slowest_but_one};
use redis::AsyncCommands;
use tokio::sync::{Mutex, MutexGuard};

const PROCESSES: usize = 4;
const TASKS: usize = 250;
/// Of the leader that is killed; the others' is longer than any test.
const LEASE: Duration = Duration::from_secs(2);

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

/// Starts a process that does what [`worker`] does.
fn start(server: &RedisServer, tasks: usize, load: &str) -> Child {
    Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "worker", "--nocapture"])
        .env("LARDER_REDIS", server.url())
        .env("LARDER_TASKS", tasks.to_string())
        .env("LARDER_LOAD", load)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process")
}

/// When each of its tasks had its answer, in microseconds.
fn answers(child: Child) -> Vec<u64> {
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success(), "a worker failed");
    let lines = BufReader::new(&output.stdout[..]).lines();
    lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("answer ")?.parse().ok())
        .collect()
}

/// What the processes do: say that they are ready, wait for the start, and have many tasks read the key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker() {
    let Ok(url) = std::env::var("LARDER_REDIS") else {
        // Not started by a test of this file.
        return;
    };
    let tasks: usize =
        std::env::var("LARDER_TASKS").map_or(1, |tasks| tasks.parse().expect("a number"));
    let store = RedisStore::builder(&url)
        .expect("a URL")
        .deadline(Duration::from_secs(2))
        .connect()
        .await
        .expect("a store");
    let client = redis::Client::open(url).expect("a URL");
    let lease = match std::env::var("LARDER_LOAD").as_deref() {
        Ok("gate") => 10 * LEASE,
        _ => LEASE,
    };
    let cache = builder(store)
        .load_timeout(lease)
        .lease(lease)
        .build(move |_: u64| load(client.clone()))
        .expect("a cache");
    barrier(&std::env::var("LARDER_REDIS").expect("a URL")).await;
    let reads = (0..tasks).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move {
            let read = cache.get(&1).await.expect("get");
            assert_eq!(read.as_deref(), Some("row"));
            now_us()
        })
    });
    for read in reads.collect::<Vec<_>>() {
        println!("answer {}", read.await.expect("a task"));
    }
}

/// Says "ready" and waits for "go".
async fn barrier(url: &str) {
    let client = redis::Client::open(url).expect("a URL");
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .expect("a connection");
    let _: () = connection.lpush("ready", 1).await.expect("ready");
    let _: Vec<String> = connection.blpop("go", 0.0).await.expect("go");
}

/// Counts itself, takes its time, and says when it was over.
async fn load(client: redis::Client) -> redis::RedisResult<Option<String>> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let _: () = connection.incr("loads", 1).await?;
    match std::env::var("LARDER_LOAD").as_deref() {
        Ok("hang") => std::future::pending().await,
        Ok("gate") => {
            let _: Vec<String> = connection.blpop("gate", 0.0).await?;
        }
        _ => tokio::time::sleep(Duration::from_millis(50)).await,
    }
    let _: () = connection.set("loaded_us", now_us()).await?;
    Ok(Some("row".to_owned()))
}

async fn let_go(connection: &mut redis::aio::MultiplexedConnection, processes: usize) {
    while connection.llen::<_, usize>("ready").await.expect("ready") < processes {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _: () = connection
        .lpush("go", vec![1; processes])
        .await
        .expect("go");
}

/// Fleets that run at once would only slow each other, and times are looked at here.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

type Rig = (
    RedisServer,
    redis::aio::MultiplexedConnection,
    MutexGuard<'static, ()>,
);

async fn rig() -> Rig {
    let turn = ONE_AT_A_TIME.lock().await;
    let server = RedisServer::start().await.expect("a server");
    let client = redis::Client::open(server.url()).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    (server, connection.expect("a connection"), turn)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_in_four_processes_are_one_load() {
    let mut p99s = Vec::new();
    for _ in 0..3 {
        let p99 = until_99_percent_are_woken().await;
        // Whoever isn't woken polls after 500 ms.
        assert!(p99 < Duration::from_millis(400), "{p99:?}");
        p99s.push(p99);
    }
    assert!(
        slowest_but_one(&p99s) <= Duration::from_millis(15),
        "{p99s:?}"
    );
}

/// Starts a fleet, sees that it loads once, and measures from the end of the load.
async fn until_99_percent_are_woken() -> Duration {
    let (server, mut connection, _turn) = rig().await;
    let processes: Vec<_> = (0..PROCESSES).map(|_| start(&server, TASKS, "")).collect();
    let_go(&mut connection, PROCESSES).await;
    let mut answers: Vec<u64> = processes.into_iter().flat_map(answers).collect();
    assert_eq!(answers.len(), PROCESSES * TASKS);
    assert_eq!(connection.get::<_, u64>("loads").await.expect("loads"), 1);
    let loaded: u64 = connection.get("loaded_us").await.expect("loaded");
    answers.sort_unstable();
    let after = |share: usize| {
        let woken = answers[answers.len() * share / 100];
        Duration::from_micros(woken.saturating_sub(loaded))
    };
    let (p50, p99) = (after(50), after(99));
    println!("woken after the load: p50 {p50:?}, p99 {p99:?}");
    p99
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_looks_once_when_it_is_woken() {
    let (server, mut connection, _turn) = rig().await;
    let processes: Vec<_> = (0..PROCESSES)
        .map(|_| start(&server, TASKS, "gate"))
        .collect();
    let mut watch = server.watch().await.expect("watch");
    let started = Instant::now();
    let_go(&mut connection, PROCESSES).await;
    // Everybody waits when three processes have subscribed, all callers have looked, and nobody looks any more
    // for a quarter of a second, on a machine that has other things to do.
    while connection.pubsub_listening().await < PROCESSES as u64 - 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (mut before, mut quiet) = (0, 0);
    while before < PROCESSES * TASKS || quiet < 5 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let sent = watch.commands().await.expect("commands");
        let looks = sent.iter().filter(|name| *name == "GET").count();
        before += looks;
        quiet = if looks == 0 { quiet + 1 } else { 0 };
    }
    let _: () = connection.lpush("gate", 1).await.expect("open");
    let answers: usize = processes
        .into_iter()
        .map(|child| answers(child).len())
        .sum();
    assert_eq!(answers, PROCESSES * TASKS);
    let after = watch.commands().await.expect("commands");
    let looks = after.iter().filter(|name| *name == "GET").count();
    // A machine that took its time may have seen polls, too: one of a process in 500 ms at the most.
    let polls = started.elapsed().as_millis() as usize / 500;
    println!("{before} GETs before the wake-up, {looks} after it, room for {polls} polls");
    assert!(before >= PROCESSES * TASKS, "{before} look-ups");
    let most = (PROCESSES - 1) * (1 + polls);
    assert!(
        looks <= most,
        "{looks} looks, and {most} expected at the most"
    );
}

/// How many connections listen to some key.
trait Listening {
    async fn pubsub_listening(&mut self) -> u64;
}

impl Listening for redis::aio::MultiplexedConnection {
    async fn pubsub_listening(&mut self) -> u64 {
        let channel = String::from_utf8_lossy(&common::address(1)).into_owned();
        let counts: Vec<redis::Value> = redis::cmd("PUBSUB")
            .arg("NUMSUB")
            .arg(channel)
            .query_async(self)
            .await
            .expect("NUMSUB");
        match counts.get(1) {
            Some(redis::Value::Int(count)) => *count as u64,
            _ => 0,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_takes_over_from_a_leader_that_was_killed() {
    let (server, mut connection, _turn) = rig().await;
    let mut leader = start(&server, 1, "hang");
    let_go(&mut connection, 1).await;
    while connection
        .get::<_, Option<u64>>("loads")
        .await
        .expect("loads")
        != Some(1)
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let leased = Instant::now();
    let follower = start(&server, 20, "");
    let_go(&mut connection, 2).await;
    leader.kill().expect("SIGKILL");
    leader.wait().expect("its end");
    let answers = tokio::task::spawn_blocking(move || answers(follower))
        .await
        .expect("answers");
    let took = leased.elapsed();
    assert_eq!(answers.len(), 20);
    assert_eq!(connection.get::<_, u64>("loads").await.expect("loads"), 2);
    println!("taken over {took:?} after the lease of {LEASE:?} was taken");
    assert!(took < LEASE + LEASE / 4, "{took:?}");
}
