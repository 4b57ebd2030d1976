//! The API documentation and the book.

use anyhow::{Result, bail};

use crate::book;
use crate::cmd::Cmd;
use crate::context::Context;

pub(super) fn run(context: &Context) -> Result<()> {
    rustdoc(context)?;
    check_links(context)?;
    render_book(context)
}

fn rustdoc(context: &Context) -> Result<()> {
    context
        .cargo("doc")
        .args(["--workspace", "--all-features", "--no-deps", "--lib"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

fn check_links(context: &Context) -> Result<()> {
    let mut problems = book::check(&context.root().join("docs/src"))?;
    problems.extend(book::check_front_pages(context.root())?);
    if problems.is_empty() {
        println!("links: every chapter, include, anchor and relative link resolves");
        return Ok(());
    }
    bail!(
        "{} in the book and the front pages:\n  {}",
        problems.len(),
        problems.join("\n  ")
    );
}

/// The links have been checked by now; rendering needs a tool that a fresh machine lacks.
fn render_book(context: &Context) -> Result<()> {
    if !Cmd::new("mdbook").arg("--version").succeeds() {
        println!(
            "mdbook is not installed: the book is checked but not rendered (`cargo install mdbook` renders it)"
        );
        return Ok(());
    }
    Cmd::new("mdbook")
        .args(["build", "docs"])
        .dir(context.root())
        .run()
}
