//! Cache-aside on the embedded store: no server, nothing to install.
//!
//! `cargo run -p larder-examples --example quickstart`

mod shop;

// ANCHOR: use
use larder_memory::MemoryStore;
// ANCHOR_END: use

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // ANCHOR: store
    let store = MemoryStore::new(10_000);
    // ANCHOR_END: store
    shop::tour(store.into()).await
}
