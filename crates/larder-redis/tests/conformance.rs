//! The Redis store behaves as every store must, on a real server.

mod plain {
    use larder_redis::RedisStore;
    use larder_testing::{RedisServer, conformance::With};

    larder_testing::store_conformance!(|| async {
        let server = RedisServer::start().await.expect("a server");
        let store = RedisStore::connect(&server.url()).await.expect("a store");
        With(store, server)
    });
}

mod unix_socket_with_password_and_database {
    use larder_redis::RedisStore;
    use larder_testing::{RedisServer, conformance::With};

    larder_testing::store_conformance!(|| async {
        let server = RedisServer::builder()
            .password("open:sesame")
            .start()
            .await
            .expect("a server");
        let url = format!(
            "redis+unix://{}?db=3&pass=open%3Asesame",
            server.socket().display()
        );
        let store = RedisStore::connect(&url).await.expect("a store");
        With(store, server)
    });
}

mod shared {
    use std::sync::Arc;

    use larder_redis::RedisStore;
    use larder_store::Store;
    use larder_testing::{RedisServer, conformance::With};

    larder_testing::store_conformance!(|| async {
        let server = RedisServer::start().await.expect("a server");
        let store = RedisStore::connect(&server.url()).await.expect("a store");
        let store: Arc<dyn Store> = Arc::new(store);
        With(store, server)
    });
}
