//! Lets the storms loose: `chaos [OPERATIONS] [SEED]`. Larder must have no stale read in any of them; the textbook's
//! patterns have some, even in calm weather.

use std::{
    env,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use larder_proofs::chaos::{Faults, Outcome, Plan, Subject, work};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let Some(("work", rest)) = arguments
        .split_first()
        .map(|(word, rest)| (word.as_str(), rest))
    {
        return match work(rest).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let number = |at: usize| arguments.get(at).and_then(|word| word.parse::<u64>().ok());
    let operations = number(0).unwrap_or(400_000);
    let seed = number(1).unwrap_or_else(rand::random);
    match storms(operations, seed).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went as it must.
async fn storms(operations: u64, seed: u64) -> io::Result<bool> {
    println!(
        "seed {seed}; repeat with: cargo run --release -p larder-proofs --bin chaos {operations} {seed}"
    );
    let mut fine = true;
    for faults in [Faults::Network, Faults::Kills, Faults::Losses] {
        let outcome = storm(Subject::Larder, faults, operations, seed).await?;
        fine &= outcome.stale_reads == 0;
    }
    for subject in [Subject::TextbookCacheAside, Subject::TextbookWriteThrough] {
        let outcome = storm(subject, Faults::None, operations / 10, seed).await?;
        fine &= outcome.stale_reads > 0;
    }
    Ok(fine)
}

async fn storm(
    subject: Subject,
    faults: Faults,
    operations: u64,
    seed: u64,
) -> io::Result<Outcome> {
    let plan = Plan {
        subject,
        faults,
        operations,
        processes: 3,
        seed,
    };
    let program = env::current_exe()?;
    let outcome = plan
        .run(&program, |done| progress(done, operations))
        .await?;
    let Outcome {
        reads,
        writes,
        incomplete,
        stale_reads,
        elapsed,
        ..
    } = &outcome;
    println!(
        "{:<23} {:<8} {reads:>9} reads {writes:>8} writes {incomplete:>7} incomplete  {stale_reads:>6} stale  {:.1} s",
        subject.name(),
        faults.name(),
        elapsed.as_secs_f64()
    );
    for (name, count) in &outcome.faults {
        println!("    {count:>5} x {name}");
    }
    for seen in outcome.stale.iter().take(3) {
        println!("    stale: {seen}");
    }
    Ok(outcome)
}

/// Shows how far a storm has got, where someone is looking.
fn progress(done: u64, operations: u64) {
    let mut out = io::stderr();
    if out.is_terminal() {
        // A terminal that went away is no reason to stop.
        let _ = write!(out, "{done} of {operations}\r").and_then(|()| out.flush());
    }
}
