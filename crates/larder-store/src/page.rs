//! Keys, a page at a time.

use crate::Key;

/// A page of a [`Store::scan`](crate::Store::scan).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys, in no order; a page may have none.
    pub keys: Vec<Key>,
    /// Where to go on; `None` after the last page.
    pub next: Option<u64>,
}
