//! The patterns head to head: `cargo bench`, or `cargo bench -- NAME` for the groups and cases with that in
//! their name.
//!
//! Criterion measures each case by itself and draws its pages under `target/criterion`. Ratios come from rounds in
//! which the cases alternate; they are printed at the end and written to `target/larder/bench.json`.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use criterion::{BenchmarkId, Criterion};
use larder_benches::{
    case::Case,
    expiry, hits, limits, misses,
    report::{self, Record},
    rig::Redis,
    rounds::{self, Plan},
    single_flight, stampede,
    value::{Order, User},
    writes,
};
use tokio::runtime::Runtime;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let arguments = Arguments::read();
    let redis = runtime.block_on(Redis::find());
    let groups = groups(&runtime, &redis, &arguments.filter)?;
    let groups: Vec<Vec<Case>> = groups
        .into_iter()
        .map(|group| chosen(group, &arguments.filter))
        .filter(|group| !group.is_empty())
        .collect();
    draw(&runtime, &groups);
    if !arguments.compares {
        return Ok(());
    }
    compare(&runtime, &groups)?;
    if let Redis::Missing(why) = &redis {
        println!("Nothing was measured over Redis: {why}");
    }
    Ok(())
}

/// What concerns us of the command line; criterion reads the whole of it.
struct Arguments {
    filter: String,
    compares: bool,
}

impl Arguments {
    fn read() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let looks = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
        Self {
            filter: filter.cloned().unwrap_or_default(),
            compares: looks("--bench") && !looks("--test") && !looks("--list"),
        }
    }
}

fn groups(runtime: &Runtime, redis: &Redis, filter: &str) -> Result<Vec<Vec<Case>>> {
    runtime.block_on(async {
        let mut groups = vec![
            hits::memory::<User>().await?,
            hits::memory::<Order>().await?,
            misses::memory().await?,
            stampede::memory()?,
            expiry::memory().await?,
            writes::memory().await?,
            single_flight::uncontended(),
            single_flight::followers(),
            limits::memory()?,
        ];
        if let Redis::At(url, _) = redis {
            groups.push(hits::redis::<User>(url, 1).await?);
            groups.push(hits::redis::<User>(url, 64).await?);
            groups.push(hits::redis::<Order>(url, 64).await?);
            groups.push(misses::redis(url).await?);
            groups.push(expiry::redis(url).await?);
            groups.push(writes::redis(url).await?);
            groups.push(limits::redis(url).await?);
            groups.push(limits::redis_hot(url).await?);
            // The textbook's lock sleeps for 100 ms at a time: only on demand.
            if filter.contains("stampede") {
                groups.push(stampede::redis(url).await?);
            }
        }
        Ok(groups)
    })
}

/// The cases with this in their name; of a group that has any, its baseline too.
fn chosen(group: Vec<Case>, filter: &str) -> Vec<Case> {
    let named = |case: &Case| format!("{}/{}", case.group, case.name).contains(filter);
    if !group.iter().any(named) {
        return Vec::new();
    }
    let kept = |case: &Case| named(case) || case.name.starts_with(case.baseline);
    group.into_iter().filter(kept).collect()
}

/// Criterion's part: a page for each case.
fn draw(runtime: &Runtime, groups: &[Vec<Case>]) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(150))
        .measurement_time(Duration::from_millis(500))
        .sample_size(10)
        .nresamples(10_000)
        .configure_from_args();
    for group in groups {
        let Some(first) = group.first() else {
            continue;
        };
        let mut drawn = criterion.benchmark_group(&first.group);
        for case in group {
            drawn.bench_function(BenchmarkId::from_parameter(&case.name), |bencher| {
                bencher
                    .to_async(runtime)
                    .iter_custom(|iterations| async move { timed(case, iterations).await });
            });
        }
        drawn.finish();
    }
    criterion.final_summary();
}

/// The time of so many iterations, where a run does a whole number of them for each task.
async fn timed(case: &Case, iterations: u64) -> Duration {
    let done = iterations.div_ceil(case.tasks) * case.tasks;
    let elapsed = (case.run)(done).await.elapsed;
    elapsed.mul_f64(iterations as f64 / done as f64)
}

/// Our part: ratios.
fn compare(runtime: &Runtime, groups: &[Vec<Case>]) -> Result<()> {
    let mut records = Vec::new();
    println!("\nHead to head, in alternating rounds:\n");
    for group in groups {
        let lines = rounds::measure(runtime, group, Plan::default());
        println!("{}", report::table(group, &lines));
        records.extend(
            group
                .iter()
                .zip(&lines)
                .map(|(case, line)| Record::new(case, line)),
        );
    }
    let path = target().join("larder/bench.json");
    report::write(&path, &records)?;
    println!("{} cases: {}", records.len(), path.display());
    Ok(())
}

/// Cargo's target directory: the one this benchmark was built into.
fn target() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    built
        .parent()
        .map_or_else(|| PathBuf::from("target"), PathBuf::from)
}
