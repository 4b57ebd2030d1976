//! Packages the library crates as crates.io would get them.

use anyhow::Result;

use crate::context::Context;

/// Packages all of them and builds each from its archive.
pub(super) fn run(context: &Context) -> Result<()> {
    archive(context, &[])
}

/// Packages all library crates in one command, so that they find each other though none is published yet.
///
/// The archives land in `target/package`. Changes that are not committed are packaged too.
pub(super) fn archive(context: &Context, flags: &[&str]) -> Result<()> {
    let packages = context
        .workspace
        .libraries()
        .flat_map(|package| ["--package", &package.name]);
    context
        .cargo("package")
        .arg("--allow-dirty")
        .args(flags)
        .args(packages)
        .run()
}
