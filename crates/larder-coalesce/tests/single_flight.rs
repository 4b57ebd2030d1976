//! Single flight without a store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use larder_coalesce::{FlightError, Overload, SingleFlight};
use larder_testing::Gate;
use tokio::{task::yield_now, time::sleep};

const WORK: Duration = Duration::from_millis(50);

#[tokio::test(start_paused = true)]
async fn callers_at_once_share_one_run_and_later_ones_start_anew() {
    let runs = Arc::new(AtomicUsize::new(0));
    let flights = SingleFlight::<u64, usize>::new();
    for round in 0..3 {
        let calls = (0..1_000).map(|_| {
            let (flights, runs) = (flights.clone(), Arc::clone(&runs));
            tokio::spawn(async move {
                let work = || async move {
                    sleep(WORK).await;
                    runs.fetch_add(1, SeqCst)
                };
                flights.run(&7, work).await
            })
        });
        for call in calls.collect::<Vec<_>>() {
            assert_eq!(call.await.expect("a task"), Ok(round));
        }
        assert_eq!(flights.in_flight(), 0);
    }
}

#[tokio::test]
async fn keys_don_t_wait_for_each_other() {
    let flights = SingleFlight::<u64, u64>::new();
    let gate = Gate::new();
    let held = {
        let gate = gate.clone();
        flights.run(&1, move || async move {
            gate.pass().await;
            1
        })
    };
    let other = async {
        gate.reached().await;
        assert_eq!(flights.run(&2, || async { 2 }).await, Ok(2));
        gate.open();
    };
    assert_eq!(tokio::join!(held, other).0, Ok(1));
}

#[tokio::test]
async fn the_work_of_a_leader_that_goes_away_is_finished_for_the_others() {
    let flights = SingleFlight::<u64, u64>::new();
    let gate = Gate::new();
    let leader = tokio::spawn({
        let (flights, gate) = (flights.clone(), gate.clone());
        async move {
            let work = || async move {
                gate.pass().await;
                1
            };
            flights.run(&7, work).await
        }
    });
    gate.reached().await;
    let followers: Vec<_> = (0..10)
        .map(|_| {
            let flights = flights.clone();
            tokio::spawn(async move { flights.run(&7, || async { 2 }).await })
        })
        .collect();
    for _ in 0..20 {
        yield_now().await;
    }
    leader.abort();
    assert!(leader.await.expect_err("aborted").is_cancelled());
    gate.open();
    for follower in followers {
        assert_eq!(follower.await.expect("a task"), Ok(1));
    }
    assert_eq!(flights.in_flight(), 0);
}

#[tokio::test]
async fn the_work_of_a_leader_that_goes_away_alone_is_dropped() {
    let flights = SingleFlight::<u64, u64>::new();
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let mut call = Box::pin(flights.run(&7, move || async move {
        std::future::pending::<()>().await;
        drop(held);
        1
    }));
    assert!(futures_poll(call.as_mut()).await.is_none());
    assert_eq!((flights.in_flight(), Arc::strong_count(&alive)), (1, 2));
    drop(call);
    assert_eq!((flights.in_flight(), Arc::strong_count(&alive)), (0, 1));
    assert_eq!(flights.run(&7, || async { 2 }).await, Ok(2));
}

/// Polls once.
async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn a_panic_is_the_leader_s_own_and_an_error_to_the_others() {
    let flights = SingleFlight::<u64, u64>::new();
    let gate = Gate::new();
    let leader = tokio::spawn({
        let (flights, gate) = (flights.clone(), gate.clone());
        async move {
            let work = || async move {
                gate.pass().await;
                panic!("on purpose");
            };
            flights.run(&7, work).await
        }
    });
    gate.reached().await;
    let follower = flights.run(&7, || async { 2 });
    let opened = async {
        yield_now().await;
        gate.open();
    };
    assert_eq!(tokio::join!(follower, opened).0, Err(FlightError::Panicked));
    assert!(leader.await.expect_err("a panic").is_panic());
    assert_eq!(flights.in_flight(), 0);
    assert_eq!(flights.run(&7, || async { 3 }).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hangs_is_disowned_and_a_follower_leads() {
    let flights = SingleFlight::<u64, u64>::builder()
        .patience(Duration::from_secs(3))
        .build();
    let mut hung = Box::pin(flights.run(&7, || async {
        std::future::pending::<()>().await;
        1
    }));
    assert!(futures_poll(hung.as_mut()).await.is_none());
    let follow = || flights.run(&7, || async { 2 });
    let started = tokio::time::Instant::now();
    let (a, b) = tokio::join!(follow(), follow());
    assert_eq!((a, b), (Ok(2), Ok(2)));
    assert_eq!(started.elapsed().as_secs(), 3);
    // The hung one is still there, and out of everybody's way.
    assert_eq!(flights.run(&7, || async { 3 }).await, Ok(3));
    drop(hung);
    assert_eq!(flights.in_flight(), 0);
}

#[tokio::test]
async fn callers_over_the_limits_work_alone_or_are_refused() {
    for (overload, expected) in [
        (Overload::Bypass, Ok(2)),
        (Overload::Refuse, Err(FlightError::Overloaded)),
    ] {
        let flights = SingleFlight::<u64, u64>::builder()
            .max_keys(1)
            .max_followers(1)
            .overload(overload)
            .build();
        let gate = Gate::new();
        let leader = {
            let gate = gate.clone();
            flights.run(&7, move || async move {
                gate.pass().await;
                1
            })
        };
        let others = async {
            gate.reached().await;
            let mut follower = Box::pin(flights.run(&7, || async { 9 }));
            assert!(futures_poll(follower.as_mut()).await.is_none());
            assert_eq!(flights.run(&7, || async { 2 }).await, expected);
            assert_eq!(flights.run(&8, || async { 2 }).await, expected);
            gate.open();
            assert_eq!(follower.await, Ok(1));
        };
        assert_eq!(tokio::join!(leader, others).0, Ok(1));
        assert_eq!(flights.in_flight(), 0);
    }
}

#[tokio::test]
async fn dropping_a_call_at_any_await_leaves_no_flight_behind() {
    let flights = SingleFlight::<u64, u64>::new();
    for polls in 0..4 {
        for followed in [false, true] {
            let work = || async {
                for _ in 0..3 {
                    yield_now().await;
                }
                1
            };
            let mut leader = Box::pin(flights.run(&7, work));
            let mut follower = Box::pin(flights.run(&7, work));
            for _ in 0..polls {
                let _ = futures_poll(leader.as_mut()).await;
            }
            if followed {
                let _ = futures_poll(follower.as_mut()).await;
            }
            drop(leader);
            drop(follower);
            for _ in 0..10 {
                yield_now().await;
            }
            assert_eq!(
                flights.in_flight(),
                0,
                "{polls} polls, followed: {followed}"
            );
        }
    }
}
