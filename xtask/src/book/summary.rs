//! `SUMMARY.md` names the chapters. One that is missing is a dead link like any other.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{markdown, read};

const SUMMARY: &str = "SUMMARY.md";

/// Pages that are no chapter, which mdbook leaves out.
pub(super) fn check(src: &Path, pages: &[PathBuf]) -> Result<Vec<String>> {
    let text = read(&src.join(SUMMARY))?;
    let chapters: Vec<_> = markdown::links(&text)
        .iter()
        .map(|name| src.join(name))
        .collect();
    let unnamed = pages
        .iter()
        .filter(|page| !page.ends_with(SUMMARY) && !chapters.contains(page));
    let name = |path: &Path| path.strip_prefix(src).unwrap_or(path).display().to_string();
    Ok(unnamed
        .map(|page| format!("{SUMMARY}: does not name {}", name(page)))
        .collect())
}
