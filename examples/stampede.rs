//! A stampede on one cold key: 1,000 tasks in 4 processes, through Larder and through the textbook's lock.
//!
//! `cargo run -p larder-examples --example stampede`
//!
//! The server is the one at `REDIS_URL`, or one of its own. The processes are this program, started again with an
//! argument: which way to read.

use std::{
    io,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use larder_coalesce::Coalesce;
use larder_redis::RedisStore;
use larder_store::Namespace;
use larder_testing::RedisServer;
use redis::{AsyncCommands as _, aio::MultiplexedConnection};
use tokio::{
    process::{Child, Command},
    task::JoinSet,
    time::{sleep, timeout},
};

const PROCESSES: usize = 4;
/// In each process.
const TASKS: usize = 250;

/// The ways to read.
const LARDER: &str = "larder";
const TEXTBOOK: &str = "textbook";

/// Larder's keyspace, and the key that everybody wants.
const NAME: &str = "stampede";
const ID: u64 = 1;

/// The same for the textbook.
const ROW: &str = "stampede:textbook:row";
const LOCK: &str = "stampede:textbook:lock";

/// How the processes start together, and how the origin counts.
const READY: &str = "stampede:ready";
const GO: &str = "stampede:go";
const QUERIES: &str = "stampede:queries";

/// How long a process may take to start, or to be told to go.
const START: Duration = Duration::from_secs(20);

/// The origin: a query that takes its time and counts itself.
async fn query(redis: &mut MultiplexedConnection) -> redis::RedisResult<String> {
    let _: () = redis.incr(QUERIES, 1).await?;
    sleep(Duration::from_millis(50)).await;
    Ok("row".to_owned())
}

// ANCHOR: larder
/// The cache, built by each process.
async fn larder(
    url: &str,
    database: MultiplexedConnection,
) -> anyhow::Result<Coalesce<u64, String>> {
    let store = RedisStore::builder(url)?
        // A thousand callers at once on a small machine: nobody shall take Redis for down.
        .deadline(Duration::from_secs(5))
        .connect()
        .await?;
    let rows = Coalesce::<u64, String>::builder(store, NAME).build(move |_id: u64| {
        let mut database = database.clone();
        async move { query(&mut database).await.map(Some) }
    })?;
    Ok(rows)
}
// ANCHOR_END: larder

// ANCHOR: textbook
/// The lock as it is usually written: SET NX EX, load, DEL. Who doesn't get it sleeps and looks again.
async fn textbook_get(redis: &mut MultiplexedConnection) -> anyhow::Result<String> {
    loop {
        let cached: Option<String> = redis.get(ROW).await?;
        if let Some(row) = cached {
            return Ok(row);
        }
        let mut lock = redis::cmd("SET");
        lock.arg(LOCK).arg("locked").arg("NX").arg("EX").arg(5);
        let locked: bool = lock.query_async(redis).await?;
        if locked {
            let row = query(redis).await?;
            let _: () = redis.set_ex(ROW, &row, 300).await?;
            // Whoever's lock it is by now.
            let _: () = redis.del(LOCK).await?;
            return Ok(row);
        }
        sleep(Duration::from_millis(100)).await;
    }
}
// ANCHOR_END: textbook

async fn connect(url: &str) -> redis::RedisResult<MultiplexedConnection> {
    // Waiting for "go" takes longer than a response usually may.
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    redis::Client::open(url)?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

/// What one of the processes does.
async fn process(way: &str) -> anyhow::Result<()> {
    let url = std::env::var("REDIS_URL").context("REDIS_URL")?;
    let redis = connect(&url).await?;
    match way {
        LARDER => {
            let rows = larder(&url, redis.clone()).await?;
            let read = || {
                let rows = rows.clone();
                async move { rows.get(&ID).await?.context("no row") }
            };
            ask_at_once(redis, read).await?;
            rows.shutdown().await?;
            Ok(())
        }
        TEXTBOOK => {
            let store = redis.clone();
            let read = || {
                let mut store = store.clone();
                async move { textbook_get(&mut store).await }
            };
            ask_at_once(redis, read).await
        }
        other => bail!("there is no {other:?}: start this without an argument"),
    }
}

/// Has all tasks of this process read, and prints how long each of them waited, in microseconds.
async fn ask_at_once<F, Fut>(mut redis: MultiplexedConnection, read: F) -> anyhow::Result<()>
where
    F: Fn() -> Fut,
    Fut: Future<Output = anyhow::Result<String>> + Send + 'static,
{
    wait_for_go(&mut redis).await?;
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let read = read();
        tasks.spawn(async move {
            let row = read.await?;
            ensure!(row == "row", "a wrong row: {row}");
            anyhow::Ok(start.elapsed())
        });
    }
    for waited in tasks.join_all().await {
        println!("{}", waited?.as_micros());
    }
    Ok(())
}

/// Says that this process is ready, and waits until all of them are.
async fn wait_for_go(redis: &mut MultiplexedConnection) -> anyhow::Result<()> {
    let _: () = redis.lpush(READY, 1).await?;
    let go: Option<Vec<String>> = redis.blpop(GO, START.as_secs_f64()).await?;
    ensure!(go.is_some(), "the other processes didn't start");
    Ok(())
}

/// What came of one stampede.
struct Figures {
    queries: u64,
    /// How long the callers waited, from the shortest to the longest.
    waits: Vec<Duration>,
}

impl Figures {
    fn percentile(&self, percent: usize) -> Duration {
        let at = self.waits.len() * percent / 100;
        self.waits.get(at).copied().unwrap_or_default()
    }

    fn show(&self, what: &str) {
        let (p50, p99) = (self.percentile(50), self.percentile(99));
        println!(
            "{what:<32}{:>14}{:>12}{:>12}",
            self.queries,
            format!("{} ms", p50.as_millis()),
            format!("{} ms", p99.as_millis())
        );
    }
}

/// One stampede: starts the processes, lets them go, and gathers what they print.
async fn stampede(
    way: &str,
    url: &str,
    redis: &mut MultiplexedConnection,
) -> anyhow::Result<Figures> {
    clear(redis).await?;
    let processes = (0..PROCESSES)
        .map(|_| start(way, url))
        .collect::<io::Result<Vec<Child>>>()?;
    let_go(redis).await?;
    let mut waits = Vec::new();
    for process in processes {
        let output = process.wait_with_output().await?;
        ensure!(output.status.success(), "a process: {}", output.status);
        for line in std::str::from_utf8(&output.stdout)?.lines() {
            waits.push(Duration::from_micros(line.parse()?));
        }
    }
    ensure!(waits.len() == PROCESSES * TASKS, "a task has no answer");
    waits.sort_unstable();
    let queries: Option<u64> = redis.get(QUERIES).await?;
    Ok(Figures {
        queries: queries.unwrap_or_default(),
        waits,
    })
}

fn start(way: &str, url: &str) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg(way)
        // Not an argument, since it may have a password in it.
        .env("REDIS_URL", url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Waits until all processes are ready, and lets them go at once.
async fn let_go(redis: &mut MultiplexedConnection) -> anyhow::Result<()> {
    let ready = async {
        while redis.llen::<_, usize>(READY).await? < PROCESSES {
            sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, redis::RedisError>(())
    };
    timeout(START, ready)
        .await
        .context("the processes didn't start")??;
    let _: () = redis.lpush(GO, vec![1; PROCESSES]).await?;
    Ok(())
}

/// Makes the keys cold: a shared Redis may hold what an earlier run left there.
async fn clear(redis: &mut MultiplexedConnection) -> anyhow::Result<()> {
    let entry = Namespace::new(NAME, 1)?.key(&ID)?;
    let mut delete = redis::cmd("DEL");
    delete.arg(entry.as_bytes());
    for name in [ROW, LOCK, READY, GO, QUERIES] {
        delete.arg(name);
    }
    let _: () = delete.query_async(redis).await?;
    Ok(())
}

async fn compare() -> anyhow::Result<()> {
    // The server is stopped when this is dropped.
    let mut own = None;
    let url = match std::env::var("REDIS_URL") {
        Ok(url) => {
            println!("Redis: the server at REDIS_URL.");
            url
        }
        Err(_unset) => {
            let server = own.insert(RedisServer::start().await?);
            println!("Redis: a server of its own, on port {}.", server.port());
            server.url()
        }
    };
    let mut redis = connect(&url).await?;
    println!("{PROCESSES} processes with {TASKS} tasks each ask for one cold key at once;");
    println!("the query for it takes 50 ms.\n");
    let larder = stampede(LARDER, &url, &mut redis).await?;
    let textbook = stampede(TEXTBOOK, &url, &mut redis).await?;
    clear(&mut redis).await?;

    println!(
        "{:<32}{:>14}{:>12}{:>12}",
        "", "origin queries", "wait, p50", "wait, p99"
    );
    larder.show("larder Coalesce");
    textbook.show("SET NX EX, sleep 100 ms, DEL");
    ensure!(
        larder.queries == 1,
        "larder asked the origin {} times instead of once",
        larder.queries
    );
    println!(
        "\nBoth spare the origin while all goes well. Larder's callers are woken when the load is over;"
    );
    println!(
        "those of the lock look again when their sleep is. If the one that loads dies or fails, they wait"
    );
    println!("until the lock expires, and if its load outlives the lock, more than one loads.");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1) {
        None => compare().await,
        Some(way) => process(&way).await,
    }
}
