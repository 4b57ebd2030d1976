//! A whole book in a temporary directory.

use std::fs;

use tempfile::TempDir;

use super::check;

/// Writes the pages, and returns what the checker says of them.
fn problems(pages: &[(&str, &str)]) -> Vec<String> {
    let dir = TempDir::new().expect("a temporary directory");
    for (name, text) in pages {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a page");
    }
    check(&dir.path().join("src")).expect("a readable book")
}

#[test]
fn a_sound_book_has_no_problem() {
    let found = problems(&[
        (
            "src/SUMMARY.md",
            "# Summary\n\n[Start](start.md)\n- [Aside](patterns/aside.md)\n- [Draft]()\n",
        ),
        (
            "src/start.md",
            "See [aside](patterns/aside.md#cost), [it](patterns/aside.html) and [redis](https://redis.io).\n",
        ),
        (
            "src/patterns/aside.md",
            "# Aside\n```rust\n{{#include ../../ex.rs:get}}\n```\n## Cost\n[up](../start.md)\n",
        ),
        ("ex.rs", "// ANCHOR: get\nget();\n// ANCHOR_END: get\n"),
    ]);
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_kind_of_rot_is_reported_with_its_page() {
    let found = problems(&[
        ("src/SUMMARY.md", "[Start](start.md)\n[Gone](gone.md)\n"),
        (
            "src/start.md",
            "# Start\n{{#include ../ex.rs:put}} {{#include ../no.rs}} [a](no.md) [b](#nowhere) [c](../ex.rs)\n",
        ),
        ("src/orphan.md", "nobody names me\n"),
        ("ex.rs", ""),
    ]);
    let expected = [
        "SUMMARY.md: does not name orphan.md",
        "SUMMARY.md: links to gone.md, which is not there",
        "start.md: includes ../ex.rs:put, and that part is not there",
        "start.md: includes ../no.rs, which is not there",
        "start.md: links to no.md, which is not there",
        "start.md: links to #nowhere, a heading that is not there",
        "start.md: links to ../ex.rs, which is no part of these pages",
    ];
    assert_eq!(found, expected);
}
