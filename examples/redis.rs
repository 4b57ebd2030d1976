//! The same as `quickstart`, on Redis: the server at `REDIS_URL`, or one of its own.
//!
//! `cargo run -p larder-examples --example redis`

mod shop;

// ANCHOR: use
use larder_redis::RedisStore;
// ANCHOR_END: use
use larder_testing::RedisServer;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The server is stopped when this is dropped.
    let mut own = None;
    let url = match std::env::var("REDIS_URL") {
        Ok(url) => url,
        Err(_unset) => own.insert(RedisServer::start().await?).url(),
    };
    // ANCHOR: store
    let store = RedisStore::connect(&url).await?;
    // ANCHOR_END: store
    shop::tour(store.into()).await
}
