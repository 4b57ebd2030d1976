//! The steps of `cargo xtask test`, in the order in which they run: cheap and telling ones first.

mod checks;
mod consumer;
mod docs;
mod examples;
mod features;
mod package;
mod trees;

use anyhow::Result;

use crate::context::Context;

/// Something that must pass.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Context) -> Result<()>,
}

/// All steps.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "redis",
        about: "a redis-server is there, or gets installed",
        run: redis,
    },
    Step {
        name: "fmt",
        about: "the code is formatted",
        run: checks::fmt,
    },
    Step {
        name: "clippy",
        about: "no warning in any target",
        run: checks::clippy,
    },
    Step {
        name: "tests",
        about: "unit and integration tests",
        run: checks::tests,
    },
    Step {
        name: "doctests",
        about: "the code in the documentation runs",
        run: checks::doctests,
    },
    Step {
        name: "examples",
        about: "every example runs to its end",
        run: examples::run,
    },
    Step {
        name: "docs",
        about: "rustdoc without warnings, and a book without dead links",
        run: docs::run,
    },
    Step {
        name: "features",
        about: "every library crate builds alone, with each feature alone",
        run: features::run,
    },
    Step {
        name: "trees",
        about: "no crate depends on what its layer excludes",
        run: trees::run,
    },
    Step {
        name: "package",
        about: "every library crate can be packaged",
        run: package::run,
    },
    Step {
        name: "consumer",
        about: "the packages work outside the workspace",
        run: consumer::run,
    },
];

/// The names, for the command line.
pub(crate) fn names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

fn redis(context: &Context) -> Result<()> {
    let server = context.redis()?;
    println!(
        "redis-server {} at {}",
        server.version,
        server.path.display()
    );
    Ok(())
}
