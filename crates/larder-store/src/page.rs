//! Keys, a page at a time.

use crate::Key;

/// A page of a [`Store::scan`](crate::Store::scan).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys, in no order; a page may have none.
    pub keys: Vec<Key>,
    /// Where to go on; `None` after the last page.
    pub next: Option<Cursor>,
}

/// Where a scan goes on. What it means is the store's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The place in the scan.
    pub place: u64,
    /// For which state of the store that place is one.
    pub epoch: u64,
}
