//! One thing that is measured.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

/// A case of a group. Its operation is called with a running number.
#[derive(Clone)]
pub struct Case {
    /// The table it stands in.
    pub group: String,
    /// Its line in the table.
    pub name: String,
    /// `none`, `textbook`, larder's pattern, or what it is instead of a pattern.
    pub pattern: &'static str,
    /// `memory`, `redis`, or nothing.
    pub store: &'static str,
    /// Tasks that call it at once.
    pub tasks: u64,
    /// Bytes of the encoded value; 0 where nothing is encoded.
    pub bytes: usize,
    /// Which case of the group it is compared with, by name.
    pub baseline: &'static str,
    /// Runs a number of operations.
    pub run: Run,
}

/// What the cases of a group have in common.
#[derive(Clone)]
pub struct Group {
    /// The table.
    pub name: String,
    /// `memory`, `redis`, or nothing.
    pub store: &'static str,
    /// Tasks that call each case at once.
    pub tasks: u64,
    /// Bytes of the encoded value; 0 where nothing is encoded.
    pub bytes: usize,
    /// Which case the others are compared with, by name.
    pub baseline: &'static str,
}

impl Group {
    /// A case of this group: its name, its pattern, and what it runs.
    #[must_use]
    pub fn case(&self, name: &str, pattern: &'static str, run: Run) -> Case {
        Case {
            group: self.name.clone(),
            name: name.to_owned(),
            pattern,
            store: self.store,
            tasks: self.tasks,
            bytes: self.bytes,
            baseline: self.baseline,
            run,
        }
    }

    /// Several of them.
    #[must_use]
    pub fn cases(&self, runs: Vec<(&str, &'static str, Run)>) -> Vec<Case> {
        let case = |(name, pattern, run): (&str, _, _)| self.case(name, pattern, run);
        runs.into_iter().map(case).collect()
    }
}

/// Runs so many operations and says how long they took.
pub type Run = Arc<dyn Fn(u64) -> Pin<Box<dyn Future<Output = Measured> + Send>> + Send + Sync>;

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// All of it.
    pub elapsed: Duration,
    /// An operation of it, in nanoseconds: the median where each is timed by itself, the mean otherwise.
    pub ns_per_operation: f64,
}

impl Measured {
    fn mean(elapsed: Duration, operations: u64) -> Self {
        Self {
            elapsed,
            ns_per_operation: elapsed.as_nanos() as f64 / operations as f64,
        }
    }
}

/// One task after the other calls; good for operations that never wait. The loop knows the operation's type, so
/// nothing is measured but the operation.
pub fn in_a_loop<F, Fut>(operation: F) -> Run
where
    F: Fn(u64) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future + Send,
{
    Arc::new(move |operations| {
        let operation = operation.clone();
        Box::pin(async move {
            let started = Instant::now();
            for number in 0..operations {
                std::hint::black_box(operation(number).await);
            }
            Measured::mean(started.elapsed(), operations)
        })
    })
}

/// One task calls, and each call is timed: the median is what one caller sees.
pub fn one_by_one<F, Fut>(operation: F) -> Run
where
    F: Fn(u64) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future + Send,
    Fut::Output: Send,
{
    Arc::new(move |operations| {
        let operation = operation.clone();
        let task = async move {
            let mut times = Vec::with_capacity(operations as usize);
            let started = Instant::now();
            for number in 0..operations {
                let call = Instant::now();
                std::hint::black_box(operation(number).await);
                times.push(call.elapsed());
            }
            let elapsed = started.elapsed();
            times.sort_unstable();
            Measured {
                elapsed,
                ns_per_operation: times[times.len() / 2].as_nanos() as f64,
            }
        };
        Box::pin(async move { joined(tokio::spawn(task).await) })
    })
}

/// Several tasks call at once, each its share.
pub fn by_tasks<F, Fut>(tasks: u64, operation: F) -> Run
where
    F: Fn(u64) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future + Send,
    Fut::Output: Send,
{
    Arc::new(move |operations| {
        let operation = operation.clone();
        Box::pin(async move {
            let share = operations.div_ceil(tasks);
            let started = Instant::now();
            let calls = (0..tasks).map(|task| {
                let operation = operation.clone();
                tokio::spawn(async move {
                    for number in task * share..(task + 1) * share {
                        std::hint::black_box(operation(number).await);
                    }
                })
            });
            for call in calls.collect::<Vec<_>>() {
                joined(call.await);
            }
            Measured::mean(started.elapsed(), share * tasks)
        })
    })
}

fn joined<T>(outcome: Result<T, tokio::task::JoinError>) -> T {
    outcome.unwrap_or_else(|error| panic!("a measured operation failed: {error}"))
}
