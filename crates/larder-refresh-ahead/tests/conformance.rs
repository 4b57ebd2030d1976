//! Refresh-ahead does what every read pattern must, over both stores.

mod common;

mod memory {
    use std::sync::Arc;

    use larder_memory::MemoryStore;

    larder_testing::cache_conformance!(
        start_paused = true,
        || async { MemoryStore::new(10_000) },
        |store, database| Arc::new(
            super::common::builder(store)
                .grace(std::time::Duration::from_secs(60))
                .load_timeout(std::time::Duration::from_secs(1))
                .build(database)
                .expect("a cache")
        )
    );
}

mod redis {
    use std::sync::Arc;

    use larder_redis::RedisStore;
    use larder_testing::{RedisServer, conformance::With};

    larder_testing::cache_conformance!(
        || async {
            let server = RedisServer::start().await.expect("a server");
            let store = RedisStore::connect(&server.url()).await.expect("a store");
            With(store, server)
        },
        |store, database| Arc::new(
            super::common::builder(store)
                .grace(std::time::Duration::from_secs(60))
                .load_timeout(std::time::Duration::from_secs(1))
                .build(database)
                .expect("a cache")
        )
    );
}
