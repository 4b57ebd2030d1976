//! The long form of the proofs.

use anyhow::Result;

use crate::context::Context;

/// Operations of each storm: three of them make more than 10^6.
const OPERATIONS: &str = "400000";

/// Every model and mutant, then the storms.
pub(crate) fn run() -> Result<()> {
    let context = Context::load()?;
    let proofs = |binary| {
        context
            .cargo("run")
            .args(["--release", "--package", "larder-proofs", "--bin", binary])
    };
    println!("== models and mutants");
    proofs("larder-proofs").run()?;
    println!("== storms");
    context
        .with_redis(proofs("chaos").args(["--", OPERATIONS]))?
        .run()
}
