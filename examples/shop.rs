//! The application of `quickstart` and `redis`: a shop that reads its products through a cache. It is given a
//! store and doesn't know which one.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

// ANCHOR: use
use larder_cache_aside::{CacheAside, Loader, Source, WriteError, async_trait};
// ANCHOR_END: use
use larder_store::Store;
use serde::{Deserialize, Serialize};

// ANCHOR: product
/// What the shop sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    name: String,
    cents: u64,
}
// ANCHOR_END: product

/// Stands in for a database. A handle, as a connection pool is: clones share the rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Database {
    rows: Arc<Mutex<HashMap<u64, Product>>>,
    queries: Arc<AtomicU64>,
}

// ANCHOR: loader
#[async_trait]
impl Loader<u64, Product> for Database {
    type Error = io::Error;

    async fn load(&self, id: &u64) -> Result<Option<Product>, io::Error> {
        Ok(self.select(&[*id]).pop().flatten())
    }

    // One query for a whole batch. Without this, `get_many` loads one by one, 16 at once.
    async fn load_many(&self, ids: &[u64]) -> Result<Vec<Option<Product>>, io::Error> {
        Ok(self.select(ids))
    }
}
// ANCHOR_END: loader

impl Database {
    /// One query.
    fn select(&self, ids: &[u64]) -> Vec<Option<Product>> {
        self.queries.fetch_add(1, Relaxed);
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().map(|id| rows.get(id).cloned()).collect()
    }

    async fn set_price(&self, id: u64, cents: u64) -> Result<(), WriteError> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        match rows.get_mut(&id) {
            Some(product) => product.cents = cents,
            // Nothing was changed, and the cache may know: the key can be cached again at once.
            None => return Err(WriteError::rolled_back("no such product")),
        }
        Ok(())
    }

    fn insert(&self, id: u64, name: &str, cents: u64) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name.to_owned();
        rows.insert(id, Product { name, cents });
    }

    fn queries(&self) -> u64 {
        self.queries.load(Relaxed)
    }
}

/// What a reader sees: who answered, and what.
fn show(what: &str, source: Source, product: Option<&Product>) {
    let shown = product.map_or("no such product".to_owned(), |product| {
        format!("{}, {} cents", product.name, product.cents)
    });
    println!("{what:<34} {:<8} {shown}", format!("{source:?}"));
}

/// The tour, the same on every store.
pub(crate) async fn tour(store: Arc<dyn Store>) -> anyhow::Result<()> {
    println!("store: {store:?}\n");
    let database = Database::default();
    database.insert(1, "tea pot", 1990);
    database.insert(2, "tea cup", 490);
    database.insert(3, "kettle", 3990);

    // ANCHOR: cache
    let products = CacheAside::<u64, Product>::builder(store, "product")
        .ttl(Duration::from_secs(3600))
        .build(database.clone())?;
    // ANCHOR_END: cache
    // A shared Redis may hold what an earlier run left there.
    products.invalidate_many(&[1, 2, 3, 4]).await?;

    let first = products.fetch(&1).await?;
    show("product 1", first.source, first.value.as_ref());
    assert_eq!(first.source, Source::Loader);

    let second = products.fetch(&1).await?;
    show("product 1 again", second.source, second.value.as_ref());
    assert_eq!(second.source, Source::Store);
    // ANCHOR: get
    let product = products.get(&1).await?;
    // ANCHOR_END: get
    assert_eq!(product, second.value);
    assert_eq!(database.queries(), 1);

    // ANCHOR: get_many
    let all = products.get_many(&[1, 2, 3, 4]).await?;
    // ANCHOR_END: get_many
    println!("\nproducts 1 to 4: {} found", all.iter().flatten().count());
    assert_eq!(all.iter().flatten().count(), 3);
    assert_eq!(database.queries(), 2, "one query for the three misses");

    // ANCHOR: write
    // From before the update until after its commit, nobody stores what they load.
    products.write(&1, database.set_price(1, 1790)).await?;
    // ANCHOR_END: write
    let cheaper = products.fetch(&1).await?;
    println!();
    show(
        "product 1 after a write",
        cheaper.source,
        cheaper.value.as_ref(),
    );
    assert_eq!(cheaper.source, Source::Loader);
    assert_eq!(cheaper.value.map(|product| product.cents), Some(1790));

    // ANCHOR: invalidate
    database.insert(2, "tea cup, blue", 520); // somebody else's import
    products.invalidate(&2).await?;
    // ANCHOR_END: invalidate
    let renamed = products.fetch(&2).await?;
    show(
        "product 2 after an invalidation",
        renamed.source,
        renamed.value.as_ref(),
    );
    assert_eq!(renamed.value.map(|product| product.cents), Some(520));

    let refused = products.write(&9, database.set_price(9, 1)).await;
    println!("a write of product 9               {refused:?}");
    assert!(refused.is_err());

    // ANCHOR: stats
    let stats = products.stats();
    println!("\nhits        {}", stats.hits);
    println!("misses      {}", stats.misses);
    println!("hit ratio   {:.2}", stats.hit_ratio());
    println!("loads       {} keys in {:?}", stats.loads, stats.load_time);
    // ANCHOR_END: stats
    println!("queries     {}", database.queries());
    assert_eq!((stats.hits, stats.misses, stats.loads), (3, 6, 6));

    products.shutdown().await?;
    Ok(())
}
