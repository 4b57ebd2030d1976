//! Coalescing, single flight and refresh-ahead, each in a few lines.
//!
//! `cargo run -p larder-examples --example patterns`

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

// ANCHOR: use_coalesce
use larder_coalesce::{Cache, Coalesce, ErrorKind, Overload, SingleFlight, Source};
// ANCHOR_END: use_coalesce
use larder_memory::MemoryStore;
// ANCHOR: use_refresh_ahead
use larder_refresh_ahead::{Freshness, RefreshAhead};
// ANCHOR_END: use_refresh_ahead
use tokio::time::sleep;

// ANCHOR: render
/// A page that takes its time.
async fn render(id: u64) -> io::Result<Option<String>> {
    sleep(Duration::from_millis(20)).await;
    Ok(Some(format!("page {id}")))
}
// ANCHOR_END: render

async fn coalesce() -> anyhow::Result<()> {
    let store = MemoryStore::new(100);
    // ANCHOR: coalesce
    let pages = Coalesce::<u64, String>::builder(store, "page")
        .ttl(Duration::from_secs(60))
        .build(render)?;

    // Who misses a key that is being loaded gets the answer of that load.
    let (a, b) = tokio::join!(pages.get(&7), pages.get(&7));
    assert_eq!(a?, b?);
    let stats = pages.stats();
    assert_eq!((stats.loads, stats.coalesced), (1, 1));
    // ANCHOR_END: coalesce
    println!("{} load for {} misses", stats.loads, stats.misses);
    Ok(())
}

async fn who_loaded() -> anyhow::Result<()> {
    let pages = Coalesce::<u64, String>::builder(MemoryStore::new(100), "page").build(render)?;
    // ANCHOR: source
    let read = pages.fetch(&7).await?;
    match read.source {
        Source::Store => println!("found, {:?} old", read.age),
        Source::Loader => println!("this caller loaded it"),
        Source::Coalesced => println!("another caller loaded it, here or in another process"),
        _ => {}
    }
    // ANCHOR_END: source
    assert_eq!(read.source, Source::Loader);
    Ok(())
}

async fn waiting() -> anyhow::Result<()> {
    let store = MemoryStore::new(100);
    // ANCHOR: waiting
    let reports = Coalesce::<u64, String>::builder(store, "report")
        // The lease, and the wait for another process, are longer by themselves.
        .load_timeout(Duration::from_secs(60))
        // Who would rather not wait so long: after this, one load in this process, past the store.
        .wait_timeout(Duration::from_secs(5))
        .build(render)?;
    // ANCHOR_END: waiting
    assert!(reports.get(&7).await?.is_some());
    Ok(())
}

async fn overload() -> anyhow::Result<()> {
    let store = MemoryStore::new(100);
    // ANCHOR: overload
    let pages = Coalesce::<u64, String>::builder(store, "page")
        .max_followers(1)
        .overload(Overload::Refuse)
        .build(render)?;

    let (a, b, c) = tokio::join!(pages.get(&7), pages.get(&7), pages.get(&7));
    let refused = [a, b, c].into_iter().find_map(Result::err);
    let refused = refused.expect("one leads, one follows");
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    assert!(refused.is_transient());
    // ANCHOR_END: overload
    println!("the third caller: {refused}");
    Ok(())
}

/// A drawing, with its number.
async fn draw(drawn: Arc<AtomicU64>) -> String {
    sleep(Duration::from_millis(20)).await;
    format!("drawing {}", drawn.fetch_add(1, Relaxed) + 1)
}

async fn single_flight() -> anyhow::Result<()> {
    let drawn = Arc::new(AtomicU64::new(0));
    // ANCHOR: single_flight
    let drawings = SingleFlight::<u64, String>::new();
    let work = || draw(Arc::clone(&drawn));

    // Who comes while a key is under way gets what comes of that.
    let (a, b) = tokio::join!(drawings.run(&7, work), drawings.run(&7, work));
    assert_eq!(a?, "drawing 1");
    assert_eq!(b?, "drawing 1");

    // Nothing is kept: who comes after the end starts anew.
    assert_eq!(drawings.run(&7, work).await?, "drawing 2");
    // ANCHOR_END: single_flight
    println!("{} drawings for 3 callers", drawn.load(Relaxed));
    Ok(())
}

async fn sign_in() -> io::Result<String> {
    Ok("a token".to_owned())
}

async fn single_flight_errors() -> anyhow::Result<()> {
    // ANCHOR: single_flight_errors
    // Work that can fail has a `Result` for its value, and all its callers get one: the error must be `Clone`, or in
    // an `Arc`.
    let tokens = SingleFlight::<&str, Result<String, Arc<io::Error>>>::new();
    let work = || async { sign_in().await.map_err(Arc::new) };

    // The outer error: the work panicked in the caller that led, or too much was under way.
    let token = tokens.run(&"orders", work).await??;
    // ANCHOR_END: single_flight_errors
    assert_eq!(token, "a token");
    Ok(())
}

async fn patience() -> anyhow::Result<()> {
    // ANCHOR: patience
    let drawings: SingleFlight<u64, String> = SingleFlight::<u64, String>::builder()
        .patience(Duration::from_secs(10))
        .build();
    // ANCHOR_END: patience
    let drawn = Arc::new(AtomicU64::new(0));
    // ANCHOR: owned
    // The work may have to go on without its caller, so it owns what it needs.
    let drawing = drawings.run(&7, || {
        let drawn = Arc::clone(&drawn);
        async move { draw(drawn).await }
    });
    assert_eq!(drawing.await?, "drawing 1");
    // ANCHOR_END: owned
    Ok(())
}

async fn refresh_ahead() -> anyhow::Result<()> {
    let store = MemoryStore::new(100);
    // ANCHOR: refresh_ahead
    let pages = RefreshAhead::<u64, String>::builder(store, "page")
        .ttl(Duration::from_secs(60))
        .refresh_at(0.8)
        .stale_while_revalidate(Duration::from_secs(10))
        .build(render)?;
    let page = pages.get(&7).await?;
    // ANCHOR_END: refresh_ahead
    assert_eq!(page.as_deref(), Some("page 7"));

    let builder = || {
        let builder = RefreshAhead::<u64, String>::builder(MemoryStore::new(100), "page");
        builder.ttl(Duration::from_secs(60))
    };
    // ANCHOR: due
    // When 0.8 of the TTL are over.
    let share = builder().refresh_at(0.8).build(render)?;
    // 10 s before the end.
    let margin = builder()
        .refresh_before(Duration::from_secs(10))
        .build(render)?;
    // By lot: the likelier the nearer the end is, and the longer the load took.
    let lot = builder().early(2.0).build(render)?;
    // ANCHOR_END: due
    for pages in [share, margin, lot] {
        assert_eq!(pages.fetch(&7).await?.source, Source::Loader);
    }
    Ok(())
}

async fn due_entries() -> anyhow::Result<()> {
    let pages = RefreshAhead::<u64, String>::builder(MemoryStore::new(100), "page")
        .ttl(Duration::from_secs(60))
        .refresh_at(0.001)
        .build(render)?;
    pages.get(&7).await?;
    sleep(Duration::from_millis(100)).await;
    // ANCHOR: due_entry
    // An entry that is due is a hit, and is loaded again behind the caller's back.
    let due = pages.fetch(&7).await?;
    assert_eq!(due.source, Source::Store);
    assert_eq!(due.freshness, Freshness::Due);

    // Before the program ends: waits for the refreshes.
    pages.shutdown().await?;
    assert_eq!(pages.stats().refreshed, 1);
    // ANCHOR_END: due_entry
    println!("a due entry, {:?} old, was served at once", due.age);
    Ok(())
}

async fn failing_refreshes() -> anyhow::Result<()> {
    let down = Arc::new(AtomicBool::new(false));
    let database = Arc::clone(&down);
    let pages = RefreshAhead::<u64, String>::builder(MemoryStore::new(100), "page")
        .ttl(Duration::from_secs(60))
        .refresh_at(0.001)
        .build(move |id: u64| {
            let down = database.load(Relaxed);
            async move {
                if down {
                    return Err(io::Error::other("the database is down"));
                }
                render(id).await
            }
        })?;
    pages.get(&7).await?;
    down.store(true, Relaxed);
    sleep(Duration::from_millis(100)).await;
    pages.get(&7).await?;
    while pages.refreshing() > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    // ANCHOR: freshness
    let read = pages.fetch(&7).await?;
    match read.freshness {
        Freshness::Fresh => println!("{:?} left", read.ttl_left),
        Freshness::Due => println!("near its end, and served at once"),
        Freshness::Stale => println!("past its TTL, and served all the same"),
        _ => {}
    }
    if let Some(error) = &read.load_error {
        let why = anyhow::Error::from(error.clone());
        println!("its last refresh failed: {why:#}");
    }
    // ANCHOR_END: freshness
    assert_eq!(read.freshness, Freshness::Due);
    let why = read.load_error.expect("the loader failed");
    assert!(why.loader_error::<io::Error>().is_some());
    pages.shutdown().await?;
    Ok(())
}

async fn stale_entries() -> anyhow::Result<()> {
    let store = MemoryStore::new(100);
    // ANCHOR: stale_while_revalidate
    let pages = RefreshAhead::<u64, String>::builder(store, "page")
        .ttl(Duration::from_millis(20))
        .stale_while_revalidate(Duration::from_secs(3600))
        .build(render)?;
    pages.get(&7).await?;

    // Nobody came while it was due. The next one is served all the same, and has it loaded again.
    sleep(Duration::from_millis(40)).await;
    let stale = pages.fetch(&7).await?;
    assert_eq!(stale.source, Source::Store);
    assert_eq!(stale.freshness, Freshness::Stale);
    // ANCHOR_END: stale_while_revalidate
    pages.shutdown().await?;
    assert_eq!(pages.stats().refreshed, 1);
    println!("a stale entry, {:?} old, was served at once", stale.age);
    Ok(())
}

// ANCHOR: choose
/// The patterns have the same calls, so which one it is can be a setting.
fn pages(store: MemoryStore, hot: bool) -> larder_coalesce::Result<Arc<dyn Cache<u64, String>>> {
    if hot {
        let pages = RefreshAhead::<u64, String>::builder(store, "page").build(render)?;
        return Ok(Arc::new(pages));
    }
    let pages = Coalesce::<u64, String>::builder(store, "page").build(render)?;
    Ok(Arc::new(pages))
}
// ANCHOR_END: choose

async fn either() -> anyhow::Result<()> {
    for hot in [true, false] {
        let pages = pages(MemoryStore::new(100), hot)?;
        assert_eq!(pages.get(&7).await?.as_deref(), Some("page 7"));
        pages.shutdown().await?;
    }
    println!("either pattern by the same calls");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    coalesce().await?;
    who_loaded().await?;
    waiting().await?;
    overload().await?;
    single_flight().await?;
    single_flight_errors().await?;
    patience().await?;
    refresh_ahead().await?;
    due_entries().await?;
    failing_refreshes().await?;
    stale_entries().await?;
    either().await
}
