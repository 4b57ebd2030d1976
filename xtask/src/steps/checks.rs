//! The steps that are one cargo command over the whole workspace.

use anyhow::Result;

use crate::cmd::Cmd;
use crate::context::Context;

pub(super) fn fmt(context: &Context) -> Result<()> {
    component("fmt", "rustfmt")?;
    context.cargo("fmt").args(["--all", "--check"]).run()
}

pub(super) fn clippy(context: &Context) -> Result<()> {
    component("clippy", "clippy")?;
    whole(context, "clippy")
        .args(["--all-targets", "--", "-D", "warnings"])
        .run()
}

/// Benches are left out: they are compiled by clippy, and `cargo bench -- --test` runs each once.
pub(super) fn tests(context: &Context) -> Result<()> {
    context
        .with_redis(whole(context, "test").args(["--lib", "--bins", "--tests"]))?
        .run()
}

pub(super) fn doctests(context: &Context) -> Result<()> {
    context
        .with_redis(whole(context, "test").arg("--doc"))?
        .run()
}

/// Makes sure that a part of the toolchain is there, which rustup's `minimal` profile leaves out.
pub(super) fn component(subcommand: &str, component: &str) -> Result<()> {
    if Cmd::cargo().args([subcommand, "--version"]).succeeds() {
        return Ok(());
    }
    Cmd::new("rustup")
        .args(["component", "add", component])
        .run()
}

fn whole(context: &Context, subcommand: &str) -> Cmd {
    context
        .cargo(subcommand)
        .args(["--workspace", "--all-features"])
}
