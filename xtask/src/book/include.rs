//! mdbook's `{{#include path:part}}`, which keeps the book's code compiled.

use std::fs;
use std::path::Path;

/// The directives that take a path; a playground's attributes follow it after a space.
const DIRECTIVES: &[&str] = &["include", "rustdoc_include", "playground"];

/// One directive of a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Include<'a> {
    path: &'a str,
    /// What follows the path's colon: an anchor or a range of lines.
    part: Option<&'a str>,
}

/// All directives of a page, within code blocks too, for that is where they are; `\{{#include}}` is text.
pub(super) fn all(text: &str) -> Vec<Include<'_>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("{{#") {
        let escaped = text[..at].ends_with('\\');
        let directive = text[at + 3..].split_once("}}").map(|(inside, _)| inside);
        if let Some(include) = directive.filter(|_| !escaped).and_then(parse) {
            found.push(include);
        }
    }
    found
}

fn parse(directive: &str) -> Option<Include<'_>> {
    let mut words = directive.split_whitespace();
    let name = words.next()?;
    let target = words.next()?;
    if !DIRECTIVES.contains(&name) {
        return None;
    }
    let (path, part) = target
        .split_once(':')
        .map_or((target, None), |(path, part)| (path, Some(part)));
    Some(Include { path, part })
}

impl Include<'_> {
    /// What is wrong with the directive on a page in `dir`.
    pub(super) fn problem(&self, dir: &Path) -> Option<String> {
        let Ok(source) = fs::read_to_string(dir.join(self.path)) else {
            return Some(format!("includes {}, which is not there", self.path));
        };
        let part = self.part?;
        let there = if is_range(part) {
            has_lines(&source, part)
        } else {
            has_anchor(&source, part)
        };
        (!there).then(|| format!("includes {}:{part}, and that part is not there", self.path))
    }
}

/// `3`, `3:7`, `3:` and `:7` are lines; all else is an anchor's name.
fn is_range(part: &str) -> bool {
    part.chars().all(|c| c.is_ascii_digit() || c == ':')
}

fn has_lines(source: &str, range: &str) -> bool {
    let count = source.lines().count();
    range
        .split(':')
        .filter(|bound| !bound.is_empty())
        .all(|line| line.parse().is_ok_and(|n: usize| n <= count))
}

/// Both ends must be there: mdbook includes the rest of the file if the second one is missing.
fn has_anchor(source: &str, anchor: &str) -> bool {
    let has = |marker: &str| {
        let named = |line: &str| {
            line.split_once(marker)
                .and_then(|(_, rest)| rest.split_whitespace().next())
                == Some(anchor)
        };
        source.lines().any(named)
    };
    has("ANCHOR:") && has("ANCHOR_END:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_found_where_mdbook_finds_them() {
        let page = "```rust\n{{#include ../a.rs:setup}}\n```\n\\{{#include no.rs}} {{#title x}} {{#playground b.rs editable}}";
        let expected = [
            Include {
                path: "../a.rs",
                part: Some("setup"),
            },
            Include {
                path: "b.rs",
                part: None,
            },
        ];
        assert_eq!(all(page), expected);
        assert_eq!(all("{{#include open"), []);
    }

    #[test]
    fn an_anchor_has_two_ends() {
        let source = "// ANCHOR: setup\nlet x = 1;\n// ANCHOR_END: setup\n// ANCHOR: open\n";
        assert!(has_anchor(source, "setup"));
        assert!(!has_anchor(source, "set"));
        assert!(!has_anchor(source, "open"));
    }

    #[test]
    fn lines_lie_within_the_file() {
        assert!(is_range("1:2") && is_range(":2") && !is_range("setup"));
        assert!(has_lines("a\nb\n", "1:2"));
        assert!(!has_lines("a\nb\n", "1:3"));
    }
}
