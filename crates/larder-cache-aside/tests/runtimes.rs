//! Futures may be dropped where there is no runtime any more.

mod common;

use std::{future::Future, pin::pin, task::Context};

use common::{Database, cache};
use larder_memory::MemoryStore;
use larder_store::ErrorKind;
use larder_testing::{Fault, FaultStore, Gate, Operation};

/// Polls a call once inside of a runtime, and drops it outside.
fn drop_outside<T>(call: impl Future<Output = T>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut call = Box::pin(call);
    runtime.block_on(async {
        std::future::poll_fn(|context: &mut Context<'_>| {
            assert!(pin!(&mut call).poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    });
    drop(runtime);
    drop(call);
}

#[test]
fn no_call_panics_when_it_is_dropped_without_a_runtime() {
    let store = FaultStore::new(MemoryStore::new(10));
    let rows = cache(store.clone(), &Database::with([(1, "row")]));
    for step in ["lease", "fill", "invalidate", "begin", "end"] {
        store.inject(Operation::Update(step), Fault::Wait(Gate::new()));
        match step {
            "lease" | "fill" => drop_outside(rows.get(&1)),
            "invalidate" => drop_outside(rows.invalidate(&1)),
            _ => drop_outside(rows.write(&1, async { Ok::<_, std::io::Error>(()) })),
        }
        store.down(None);
    }
}

#[test]
fn an_invalidation_that_was_dropped_without_a_runtime_is_made_up_for_in_the_next_one() {
    let store = FaultStore::new(MemoryStore::new(10));
    let database = Database::with([(1, "old")]);
    let rows = cache(store.clone(), &database);
    let runtime = || tokio::runtime::Runtime::new().expect("a runtime");
    runtime().block_on(async { rows.get(&1).await.expect("get") });
    database.put(1, "new");
    store.inject(Operation::Update("invalidate"), Fault::Wait(Gate::new()));
    drop_outside(rows.invalidate(&1));
    assert_eq!(rows.deferred(), 1);
    runtime().block_on(async {
        // Anything that is put off sets the outbox going again.
        store.inject(
            Operation::Update("invalidate"),
            Fault::Fail(ErrorKind::Timeout),
        );
        rows.invalidate(&2).await.expect_err("deferred");
        rows.shutdown().await.expect("nothing left");
        assert_eq!(rows.get(&1).await.expect("get").as_deref(), Some("new"));
    });
}
