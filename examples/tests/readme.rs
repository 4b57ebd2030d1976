//! The README can't include code, so this holds it to the examples.

use std::{fs, path::Path};

/// Every line of Rust in the README is a line of `quickstart`, and they come in its order.
#[test]
fn the_readme_shows_the_quickstart() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(examples.join(name)).expect(name);
    let readme = read("../README.md");
    let code = read("quickstart.rs") + &read("shop.rs");
    let blocks = readme.split("```rust\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty(), "the README has no code");
    for block in blocks {
        let mut lines = code.lines().map(str::trim);
        for shown in block.lines().map(str::trim).filter(|line| !line.is_empty()) {
            assert!(
                lines.any(|line| line == shown),
                "quickstart.rs and shop.rs don't have, or not in this order:\n{shown}"
            );
        }
    }
}
