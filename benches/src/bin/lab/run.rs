//! `cargo lab replay`, from the trace to the table.

use std::{
    io::{ErrorKind, Write},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    args::Replay,
    origin::Origin,
    replay::Run,
    report::{self, Outcome},
    store::Place,
    subject::Pattern,
    trace::Trace,
    workload::Workload,
};

/// Replays the trace against each pattern in turn, and shows what came of it.
pub(crate) async fn run(args: &Replay) -> Result<()> {
    let trace = Trace::open(&args.input)?;
    let workload = Arc::new(Workload::new(&trace, args.writes, args.input.seed));
    let place = Place::prepare(&args.store, args.capacity).await?;
    show(&report::title(&trace, args))?;
    let mut outcomes = Vec::new();
    for pattern in &args.pattern {
        let outcome = measure(*pattern, args, &place, &workload).await;
        outcomes.push(outcome.with_context(|| format!("{pattern} can't be replayed"))?);
    }
    show(&report::text(&outcomes))?;
    match &args.json {
        Some(path) => std::fs::write(path, report::json(&outcomes)?)
            .with_context(|| format!("{} can't be written", path.display())),
        None => Ok(()),
    }
}

async fn measure(
    pattern: Pattern,
    args: &Replay,
    place: &Place,
    workload: &Arc<Workload>,
) -> Result<Outcome> {
    let delay = Duration::from_millis(args.origin_delay);
    let origin = Origin::create(workload.keys, delay).await;
    let origin = Arc::new(origin.context("the database can't be set up in a temporary directory")?);
    let name = format!("lab-{:016x}", rand::random::<u64>());
    let subject = pattern
        .subject(place, Arc::clone(&origin), args.ttl, &name)
        .await?;
    let run = Run::new(Arc::clone(&subject), Arc::clone(workload), Origin::FIRST);
    let replayed = run.replay(args.tasks, &pattern.to_string()).await;
    let closed = subject.close().await;
    origin.close().await;
    let (mut tally, elapsed) = replayed?;
    if let Err(error) = closed {
        tally.failed(&error);
    }
    Ok(Outcome {
        pattern,
        tally,
        origin_queries: origin.queries(),
        elapsed,
    })
}

/// Prints to stdout; a reader that has seen enough is no error.
fn show(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("stdout can't be written"),
    }
}
