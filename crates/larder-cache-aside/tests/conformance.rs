//! Cache-aside does what every read pattern must, over both stores.

mod common;

use std::{sync::Arc, time::Duration};

use larder_cache_aside::Store;
use larder_testing::{Database, conformance::cache::Subject};

fn make(store: Arc<dyn Store>, database: Database) -> Subject {
    let cache = common::builder(store)
        .grace(Duration::from_secs(60))
        .load_timeout(Duration::from_secs(1))
        .build(database);
    Arc::new(cache.expect("a cache"))
}

mod memory {
    use larder_memory::MemoryStore;

    larder_testing::cache_conformance!(
        start_paused = true,
        || async { MemoryStore::new(10_000) },
        super::make
    );
}

mod redis {
    use larder_redis::RedisStore;
    use larder_testing::{RedisServer, conformance::With};

    larder_testing::cache_conformance!(
        || async {
            let server = RedisServer::start().await.expect("a server");
            let store = RedisStore::connect(&server.url()).await.expect("a store");
            With(store, server)
        },
        super::make
    );
}
