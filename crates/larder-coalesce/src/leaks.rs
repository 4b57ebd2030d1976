//! Flights leave nothing behind.

use std::sync::Arc;

use crate::flights::{Entered, Flights, Limits};

/// A million keys, one after the other and a thousand at once: nothing stays.
#[tokio::test]
async fn names_are_given_back() {
    let flights = Arc::new(Flights::<u64, u64>::new(Limits::DEFAULT));
    for batch in 0..1_000 {
        let leaders: Vec<_> = (0..1_000)
            .map(|number| flights.enter(&(batch * 1_000 + number)))
            .collect();
        assert_eq!(flights.names(), 1_000);
        for (number, leader) in leaders.into_iter().enumerate() {
            match leader {
                Entered::Lead(leader) if number % 2 == 0 => leader.land(1),
                Entered::Lead(leader) => drop(leader),
                Entered::Follow(_) | Entered::Full => panic!("keys differ"),
            }
        }
        assert_eq!((flights.names(), flights.under_way()), (0, 0));
    }
    let room = flights.room();
    assert!(room <= 4_000, "room for {room} names is kept");
}
