//! The storms, in short: more than 10^5 operations, and no stale read but the textbook's.
//!
//! The seed of what goes wrong is printed; `LARDER_SEED` repeats it.

use std::path::Path;

use larder_proofs::chaos::{Faults, Outcome, Plan, Subject};

async fn storm(subject: Subject, faults: Faults, operations: u64) -> Outcome {
    let seed = std::env::var("LARDER_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let plan = Plan {
        subject,
        faults,
        operations,
        processes: 3,
        seed: seed.unwrap_or_else(rand::random),
    };
    println!("LARDER_SEED={}", plan.seed);
    let program = Path::new(env!("CARGO_BIN_EXE_chaos"));
    let outcome = plan.run(program, |_| {}).await.expect("a storm");
    println!("{outcome:#?}");
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn no_storm_makes_larder_stale() {
    let mut operations = 0;
    for faults in [Faults::Network, Faults::Kills, Faults::Losses] {
        let outcome = storm(Subject::Larder, faults, 36_000).await;
        assert_eq!(outcome.stale_reads, 0, "{:?}", outcome.stale);
        assert!(outcome.writes > 500, "hardly any write was complete");
        operations += outcome.reads + outcome.writes + outcome.incomplete;
    }
    assert!(operations >= 100_000, "{operations}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_textbook_is_stale_in_calm_weather() {
    for subject in [Subject::TextbookCacheAside, Subject::TextbookWriteThrough] {
        let outcome = storm(subject, Faults::None, 20_000).await;
        assert!(outcome.stale_reads > 0, "{} was lucky", subject.name());
    }
}
