//! Every error has its kind and says what to do; none shows a secret.

use std::time::Duration;

use bytes::Bytes;
use larder_redis::RedisStore;
use larder_store::{Error, ErrorKind, Key, Namespace, Store};
use larder_testing::RedisServer;

fn key(name: &str) -> Key {
    Namespace::new("errors", 1)
        .and_then(|space| space.key(name))
        .expect("a key")
}

fn kind<T>(outcome: Result<T, Error>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

#[tokio::test]
async fn bad_urls() {
    for url in [
        "",
        "redis",
        "http://localhost/",
        "redis://:hunter2@host:port/",
        "redis://:hunter2@localhost/x",
        "rediss://:hunter2@localhost/",
    ] {
        let error = RedisStore::connect(url).await.expect_err(url);
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("redis://"), "{shown}");
    }
}

#[tokio::test]
async fn nobody_listens() {
    let error = RedisStore::connect("redis://127.0.0.1:1/")
        .await
        .expect_err("no server");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(std::error::Error::source(&error).is_some());
    assert!(error.is_transient());
    let message = error.to_string();
    assert!(message.contains("redis://127.0.0.1:1/0"), "{message}");
    assert!(message.contains("connect_in_background"), "{message}");
}

#[tokio::test]
async fn settings_that_cannot_work() {
    let url = "redis://127.0.0.1:1/";
    let builder = || RedisStore::builder(url).expect("a URL");
    assert_eq!(
        kind(builder().lanes(0).connect().await),
        Some(ErrorKind::Config)
    );
    assert_eq!(
        kind(builder().deadline(Duration::ZERO).connect().await),
        Some(ErrorKind::Config)
    );
    assert_eq!(
        kind(builder().connect_timeout(Duration::ZERO).connect().await),
        Some(ErrorKind::Config)
    );
}

#[tokio::test]
async fn wrong_and_missing_passwords() {
    let server = RedisServer::builder()
        .password("correct")
        .start()
        .await
        .expect("a server");
    for login in [":wr0ng@", "nobody:wr0ng@", ""] {
        let url = format!("redis://{login}127.0.0.1:{}/", server.port());
        let error = RedisStore::connect(&url).await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
        assert!(!error.is_transient());
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("wr0ng"), "{shown}");
    }
}

#[tokio::test]
async fn acl_users_log_in_and_see_what_they_may_not_do() {
    let server = RedisServer::start().await.expect("a server");
    let rights = [
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">secret",
        "~larder:*",
        "&larder:*",
        "+@all",
        "-unlink",
    ];
    server.command::<String>(&rights).await.expect("a user");
    let url = format!("redis://app:secret@127.0.0.1:{}/", server.port());
    let store = RedisStore::connect(&url).await.expect("a store");
    store
        .set(&key("a"), Bytes::from_static(b"1"), None)
        .await
        .expect("set");
    assert_eq!(kind(store.delete(&[key("a")]).await), Some(ErrorKind::Auth));
    let foreign = Key::from_raw(b"elsewhere").expect("a key");
    assert_eq!(kind(store.get(&foreign).await), Some(ErrorKind::Auth));
    // A missing right is no reason to give up the connection.
    assert!(store.get(&key("a")).await.expect("get").is_some());
    assert!(!format!("{store:?}").contains("secret"));
}

#[tokio::test]
async fn another_type_at_the_key_is_left_alone() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    let key = Key::from_raw(b"list").expect("a key");
    server
        .command::<i64>(&["RPUSH", "list", "x"])
        .await
        .expect("push");
    assert_eq!(kind(store.get(&key).await), Some(ErrorKind::WrongType));
    assert_eq!(
        store
            .get_many(std::slice::from_ref(&key))
            .await
            .expect("get_many"),
        [None]
    );
    let length: i64 = server.command(&["LLEN", "list"]).await.expect("length");
    assert_eq!(length, 1);
}

#[tokio::test]
async fn values_over_the_limit_are_refused_before_they_are_sent() {
    let server = RedisServer::start().await.expect("a server");
    let builder = RedisStore::builder(&server.url()).expect("a URL");
    let store = builder.max_value_len(10).connect().await.expect("a store");
    let value = Bytes::from(vec![0; 11]);
    assert_eq!(
        kind(store.set(&key("a"), value.clone(), None).await),
        Some(ErrorKind::ValueTooLarge)
    );
    let entries = [(key("a"), Bytes::new()), (key("b"), value)];
    assert_eq!(
        kind(store.set_many(&entries, None).await),
        Some(ErrorKind::ValueTooLarge)
    );
    assert_eq!(store.get(&key("a")).await.expect("get"), None);
}

#[tokio::test]
async fn a_full_server_says_so() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    server
        .command::<String>(&["CONFIG", "SET", "maxmemory", "1"])
        .await
        .expect("config");
    let refused = store.set(&key("a"), Bytes::from_static(b"1"), None).await;
    assert_eq!(kind(refused), Some(ErrorKind::OutOfMemory));
}

#[tokio::test]
async fn a_replica_says_so() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    server
        .command::<String>(&["REPLICAOF", "127.0.0.1", "1"])
        .await
        .expect("replica");
    let refused = store.set(&key("a"), Bytes::from_static(b"1"), None).await;
    assert_eq!(kind(refused), Some(ErrorKind::ReadOnly));
}

#[tokio::test]
async fn after_shutdown_everything_fails_as_shut_down() {
    let server = RedisServer::start().await.expect("a server");
    let store = RedisStore::connect(&server.url()).await.expect("a store");
    store.shutdown().await;
    assert_eq!(kind(store.get(&key("a")).await), Some(ErrorKind::Shutdown));
    assert_eq!(kind(store.ping().await), Some(ErrorKind::Shutdown));
    assert_eq!(
        kind(store.subscribe(&key("a")).await),
        Some(ErrorKind::Shutdown)
    );
}
