//! Links from one page to another.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{is_page, markdown};

/// What is wrong with a link to `target` on `page`, whose site ends at `root`; links to elsewhere are not followed.
pub(super) fn problem(target: &str, page: &Path, root: &Path) -> Option<String> {
    if is_elsewhere(target) {
        return None;
    }
    let (path, fragment) = target
        .split_once('#')
        .map_or((target, None), |(path, fragment)| (path, Some(fragment)));
    let path = path.split('?').next().unwrap_or_default();
    let file = if path.is_empty() {
        page.to_owned()
    } else {
        normal(&page.parent()?.join(path))
    };
    if !file.starts_with(root) {
        return Some(format!(
            "links to {target}, which is no part of these pages"
        ));
    }
    let Some(file) = existing(file) else {
        return Some(format!("links to {target}, which is not there"));
    };
    let fragment = fragment.filter(|_| is_page(&file))?;
    let text = fs::read_to_string(&file).unwrap_or_default();
    let there = markdown::anchors(&text)
        .iter()
        .any(|anchor| anchor == fragment);
    (!there).then(|| format!("links to {target}, a heading that is not there"))
}

/// A link with a scheme, such as `https:` or `mailto:`.
fn is_elsewhere(target: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.len() > 1
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    target.starts_with("//")
        || target
            .split_once(':')
            .is_some_and(|(scheme, _)| is_scheme(scheme))
}

/// The file itself, or the page that mdbook renders into that `.html`.
fn existing(file: PathBuf) -> Option<PathBuf> {
    if file.exists() {
        return Some(file);
    }
    let is_rendered = file
        .extension()
        .is_some_and(|extension| extension == "html");
    Some(file.with_extension("md")).filter(|page| is_rendered && page.exists())
}

/// Resolves `.` and `..` without asking the file system.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_relative_links_are_ours() {
        for target in ["https://redis.io", "mailto:a@b.c", "//cdn/x"] {
            assert!(is_elsewhere(target), "{target}");
        }
        for target in ["page.md", "../a/b.md#c", "#here"] {
            assert!(!is_elsewhere(target), "{target}");
        }
    }

    #[test]
    fn paths_are_resolved_without_the_file_system() {
        assert_eq!(
            normal(Path::new("/book/src/patterns/../intro.md")),
            Path::new("/book/src/intro.md")
        );
    }
}
