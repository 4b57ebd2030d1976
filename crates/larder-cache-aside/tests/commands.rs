//! What each call costs, counted by the server.

mod common;

use common::{Database, cache};
use larder_redis::RedisStore;
use larder_testing::{RedisServer, Watch};

struct Rig {
    rows: larder_cache_aside::CacheAside<u64, String>,
    watch: Watch,
    _server: RedisServer,
}

/// A cache whose scripts the server knows already.
async fn rig() -> Rig {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let database = Database::with((0..100).map(|id| (id, "row")));
    let rows = cache(store, &database);
    rows.get(&99).await.expect("get");
    let written = rows.write(&99, async { Ok::<_, std::io::Error>(()) });
    written.await.expect("write");
    rows.invalidate(&99).await.expect("invalidate");
    let watch = server.watch().await.expect("watch");
    Rig {
        rows,
        watch,
        _server: server,
    }
}

#[tokio::test]
async fn a_miss_is_a_get_a_lease_and_a_fill_and_a_hit_is_a_get() {
    let mut rig = rig().await;
    rig.rows.get(&1).await.expect("get");
    let miss = rig.watch.commands().await.expect("commands");
    assert_eq!(miss, ["GET", "EVALSHA", "EVALSHA"]);
    for _ in 0..10 {
        rig.rows.get(&1).await.expect("get");
    }
    assert_eq!(rig.watch.commands().await.expect("commands"), ["GET"; 10]);
}

#[tokio::test]
async fn a_batch_of_hits_is_one_mget_and_its_misses_cost_two_round_trips() {
    let mut rig = rig().await;
    let ids: Vec<u64> = (0..50).collect();
    rig.rows.get_many(&ids).await.expect("get_many");
    let misses = rig.watch.commands().await.expect("commands");
    assert_eq!(misses[0], "MGET");
    assert_eq!(misses[1..], ["EVALSHA"; 100]);
    let rows = rig.rows.get_many(&ids).await.expect("get_many");
    assert!(rows.iter().all(Option::is_some));
    assert_eq!(rig.watch.commands().await.expect("commands"), ["MGET"]);
}

#[tokio::test]
async fn a_write_is_a_begin_and_an_end_and_an_invalidation_is_one_command() {
    let mut rig = rig().await;
    let written = rig.rows.write(&1, async { Ok::<_, std::io::Error>(()) });
    written.await.expect("write");
    assert_eq!(
        rig.watch.commands().await.expect("commands"),
        ["EVALSHA", "EVALSHA"]
    );
    rig.rows.invalidate(&1).await.expect("invalidate");
    assert_eq!(rig.watch.commands().await.expect("commands"), ["EVALSHA"]);
    rig.rows
        .invalidate_many(&[1, 2, 3])
        .await
        .expect("invalidate");
    assert_eq!(
        rig.watch.commands().await.expect("commands"),
        ["EVALSHA"; 3]
    );
}
