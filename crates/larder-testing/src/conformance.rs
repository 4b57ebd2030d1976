//! What every store must do: one function a behaviour.
//!
//! ```
//! use larder_memory::MemoryStore;
//!
//! larder_testing::store_conformance!(start_paused = true, || async { MemoryStore::new(10_000) });
//! # fn main() {}
//! ```

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
