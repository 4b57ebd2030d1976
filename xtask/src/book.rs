//! Checks the book's links without mdbook, which a fresh machine lacks.
//!
//! A page may name a chapter, include a part of a source file, or link to another page or heading. All of
//! these rot silently: mdbook renders an include that fails as an empty block.

mod code;
mod include;
mod link;
mod markdown;
mod summary;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The problems of all pages below `src`, one line each; empty if there is none.
pub(crate) fn check(src: &Path) -> Result<Vec<String>> {
    let mut pages = Vec::new();
    collect_pages(src, &mut pages)?;
    pages.sort();
    let mut problems = summary::check(src, &pages)?;
    for page in &pages {
        problems.extend(check_page(page, src)?);
    }
    Ok(problems)
}

/// The same for the pages at the repository's root, such as the README.
pub(crate) fn check_front_pages(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if is_page(&path) {
            problems.extend(check_page(&path, root)?);
        }
    }
    Ok(problems)
}

fn check_page(page: &Path, root: &Path) -> Result<Vec<String>> {
    let text = read(page)?;
    let dir = page.parent().unwrap_or(root);
    let name = page.strip_prefix(root).unwrap_or(page).display();
    let includes = include::all(&text)
        .into_iter()
        .filter_map(|include| include.problem(dir));
    let links = markdown::links(&text)
        .into_iter()
        .filter_map(|target| link::problem(&target, page, root));
    Ok(includes
        .chain(links)
        .map(|problem| format!("{name}: {problem}"))
        .collect())
}

fn collect_pages(dir: &Path, pages: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect_pages(&path, pages)?;
        } else if is_page(&path) {
            pages.push(path);
        }
    }
    Ok(())
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests;
