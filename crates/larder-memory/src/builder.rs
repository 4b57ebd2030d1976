//! Settings of a memory store.

use larder_store::{Error, ErrorKind, Result};

use crate::{MemoryStore, entry::Weight};

/// Settings of a [`MemoryStore`]; from [`MemoryStore::builder`].
#[derive(Debug, Clone)]
pub struct MemoryStoreBuilder {
    pub(crate) capacity: u64,
    pub(crate) weight: Weight,
    pub(crate) max_value_len: usize,
}

impl MemoryStoreBuilder {
    pub(crate) const fn new() -> Self {
        Self {
            capacity: 10_000,
            weight: Weight::Entries,
            max_value_len: 64 << 20,
        }
    }

    /// Holds this many entries at the most. The default: 10,000.
    #[must_use]
    pub const fn max_entries(mut self, entries: u64) -> Self {
        self.capacity = entries;
        self.weight = Weight::Entries;
        self
    }

    /// Holds this many bytes of keys and values at the most, instead of counting entries. The map's own
    /// memory, some 120 bytes an entry, comes on top. The map has several shards (four for each processor), and
    /// no value may be larger than nine tenths of a shard's part.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: u64) -> Self {
        self.capacity = bytes;
        self.weight = Weight::Bytes;
        self
    }

    /// Refuses larger values. The default: 64 MiB.
    #[must_use]
    pub const fn max_value_len(mut self, bytes: usize) -> Self {
        self.max_value_len = bytes;
        self
    }

    /// The store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a capacity of zero.
    pub fn build(self) -> Result<MemoryStore> {
        if self.capacity == 0 {
            return Err(Error::new(
                ErrorKind::Config,
                "a memory store needs room for at least one entry",
            ));
        }
        Ok(MemoryStore::with(&self))
    }
}
