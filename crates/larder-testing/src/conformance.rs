//! What every store must do: one function a behaviour.
//!
//! ```
//! use larder_memory::MemoryStore;
//!
//! larder_testing::store_conformance!(start_paused = true, || async { MemoryStore::new(10_000) });
//! # fn main() {}
//! ```

#[cfg(feature = "cache")]
pub mod cache;
mod probe;
pub mod store;

/// Makes one `#[tokio::test]` out of each behaviour of [`store`]. Its arguments: optionally
/// those of `tokio::test`, and a closure whose future gives a fresh store, or a tuple of the store and what must
/// live as long.
#[macro_export]
macro_rules! store_conformance {
    ($($argument:ident = $value:literal,)* || $make:expr) => {
        $crate::store_conformance! {
            @each [$($argument = $value)*] [|| $make]
            missing_is_none
            set_then_get
            set_overwrites
            empty_value
            any_bytes
            large_value
            longest_key
            expires
            no_ttl_stays
            sub_millisecond_ttl_is_rounded_up
            get_many_in_order
            get_many_of_nothing
            set_many_sets_all
            delete_counts
            delete_missing_succeeds
            scan_finds_what_starts_so
            scan_finds_all_pages
            update_sees_the_record
            update_sets_with_ttl
            update_keeps_ttl
            update_keeps_absence_of_ttl
            update_deletes
            update_keeps
            update_sees_no_expired_record
            update_replies_any_shape
            update_many_in_order
            update_many_of_nothing
            updates_are_atomic
            announces_to_subscribers
            subscription_hears_its_key_only
            dropped_subscription_is_silent
            time_goes_on
            ping_answers
            debug_shows_no_data
        }
    };
    (@each $arguments:tt $make:tt $($behaviour:ident)*) => {
        $($crate::store_conformance!(@one $arguments $make $behaviour);)*
    };
    (@one [$($argument:ident = $value:literal)*] [|| $make:expr] $behaviour:ident) => {
        #[$crate::tokio::test(crate = "larder_testing::tokio", $($argument = $value),*)]
        async fn $behaviour() {
            use $crate::conformance::IntoSubject as _;
            let (store, _alive) = $make.await.into_subject();
            $crate::conformance::store::$behaviour(&*store).await;
        }
    };
}

/// Makes one `#[tokio::test]` out of each behaviour of [`cache`]. Its arguments: optionally those of `tokio::test`; a
/// closure whose future gives a fresh store, as for [`store_conformance!`](crate::store_conformance); and a closure that
/// makes the cache from an `Arc<dyn Store>` and a [`Database`](crate::Database): its name `row`, a TTL of 60 s without
/// jitter, a grace of 60 s, a load timeout of 1 s.
#[cfg(feature = "cache")]
#[macro_export]
macro_rules! cache_conformance {
    ($($argument:ident = $value:literal,)* || $store:expr, $make:expr) => {
        $crate::cache_conformance! {
            @each [$($argument = $value)*] [|| $store] [$make]
            a_miss_loads_and_a_hit_does_not
            a_missing_row_is_none
            a_batch_comes_in_order
            a_batch_loads_what_is_missing_at_once
            an_invalidated_key_is_loaded_again
            everything_can_be_invalidated
            an_older_load_is_never_stored
            a_read_after_an_invalidation_joins_no_older_load
            a_batch_after_an_invalidation_joins_no_older_load
            a_loader_error_reaches_the_caller
            a_panic_reaches_the_caller_and_frees_the_key
            a_stale_entry_is_served_if_the_loader_fails
            the_loader_answers_while_the_store_is_down
            no_fault_of_the_store_leaves_a_stale_value
            a_dropped_read_leaves_nothing_behind
            a_dropped_batch_leaves_nothing_behind
            what_happens_is_counted
        }
    };
    (@each $arguments:tt $store:tt $make:tt $($behaviour:ident)*) => {
        $($crate::cache_conformance!(@one $arguments $store $make $behaviour);)*
    };
    (@one [$($argument:ident = $value:literal)*] [|| $store:expr] [$make:expr] $behaviour:ident) => {
        #[$crate::tokio::test(crate = "larder_testing::tokio", $($argument = $value),*)]
        async fn $behaviour() {
            use $crate::conformance::IntoSubject as _;
            let (store, _alive) = $store.await.into_subject();
            $crate::conformance::cache::$behaviour(store, $make).await;
        }
    };
}

use std::sync::Arc;

use larder_store::Store;

/// A store under test, with whatever must live as long.
pub trait IntoSubject {
    /// What must live as long.
    type Alive;

    /// The two.
    fn into_subject(self) -> (Arc<dyn Store>, Self::Alive);
}

impl<S: Into<Arc<dyn Store>>> IntoSubject for S {
    type Alive = ();

    fn into_subject(self) -> (Arc<dyn Store>, ()) {
        (self.into(), ())
    }
}

/// A store with whatever must live as long.
#[derive(Debug)]
pub struct With<S, A>(pub S, pub A);

impl<S: Into<Arc<dyn Store>>, A> IntoSubject for With<S, A> {
    type Alive = A;

    fn into_subject(self) -> (Arc<dyn Store>, A) {
        (self.0.into(), self.1)
    }
}
