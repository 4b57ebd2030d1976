//! The memory store behaves as every store must.

mod plain {
    use larder_memory::MemoryStore;

    larder_testing::store_conformance!(start_paused = true, || async { MemoryStore::new(10_000) });
}

mod by_bytes {
    use larder_memory::MemoryStore;

    larder_testing::store_conformance!(start_paused = true, || async {
        MemoryStore::builder()
            .max_bytes(64 << 20)
            .build()
            .expect("a store")
    });
}

mod shared {
    use std::sync::Arc;

    use larder_memory::MemoryStore;
    use larder_store::Store;

    larder_testing::store_conformance!(start_paused = true, || async {
        let store: Arc<dyn Store> = Arc::new(Arc::new(MemoryStore::new(10_000)));
        store
    });
}

mod behind_faults {
    use larder_memory::MemoryStore;
    use larder_testing::FaultStore;

    larder_testing::store_conformance!(start_paused = true, || async {
        FaultStore::new(MemoryStore::new(10_000))
    });
}
