//! Keeps the layers apart: what a crate must not depend on, however indirectly.

use anyhow::{Result, bail};

use crate::context::Context;

const SERDE: &[&str] = &["serde", "serde_core"];
const REDIS: &[&str] = &["larder-redis", "redis", "bb8-redis"];
/// What a layer is put around, but needs nothing of.
const SERVERS: &[&str] = &["axum", "hyper", "tonic", "tower", "tower-http"];
const STORES: &[&str] = &["larder-memory", "larder-redis"];

/// A crate, and the crates that must be nowhere in its tree.
struct Rule {
    package: &'static str,
    excludes: &'static [&'static [&'static str]],
}

/// One row a crate.
const RULES: &[Rule] = &[
    Rule {
        package: "larder-store",
        excludes: &[SERDE, REDIS, STORES],
    },
    Rule {
        package: "larder-memory",
        excludes: &[SERDE, REDIS],
    },
    Rule {
        package: "larder-redis",
        excludes: &[SERDE, &["larder-memory"]],
    },
    Rule {
        package: "larder-cache",
        excludes: &[REDIS, STORES],
    },
    Rule {
        package: "larder-cache-aside",
        excludes: &[REDIS, STORES],
    },
    Rule {
        package: "larder-coalesce",
        excludes: &[REDIS, STORES],
    },
    Rule {
        package: "larder-refresh-ahead",
        excludes: &[REDIS, STORES],
    },
    Rule {
        package: "larder-write-through",
        excludes: &[REDIS, STORES, &["larder-coalesce"]],
    },
    Rule {
        package: "larder-rate-limit",
        excludes: &[SERDE, REDIS, STORES, &["larder-cache"]],
    },
    Rule {
        package: "larder-tower",
        excludes: &[SERDE, REDIS, STORES, SERVERS, &["larder-cache"]],
    },
];

/// Looks at all features at once, so that no optional dependency breaks a rule either.
pub(super) fn run(context: &Context) -> Result<()> {
    let mut broken = Vec::new();
    for rule in RULES {
        context.workspace.package(rule.package)?;
        let tree = context
            .cargo("tree")
            .args([
                "--edges",
                "normal,build",
                "--prefix",
                "none",
                "--all-features",
                "--package",
                rule.package,
            ])
            .output()?;
        broken.extend(
            offenders(rule, &tree).map(|found| format!("{} depends on {found}", rule.package)),
        );
    }
    if broken.is_empty() {
        return Ok(());
    }
    bail!(
        "{}; `cargo tree --package CRATE --invert DEPENDENCY` shows how",
        broken.join(", ")
    );
}

/// The excluded crates that are in the tree.
fn offenders(rule: &Rule, tree: &str) -> impl Iterator<Item = &'static str> {
    let present = |name: &&str| {
        tree.lines()
            .any(|line| line.split(' ').next() == Some(*name))
    };
    rule.excludes
        .iter()
        .copied()
        .flatten()
        .copied()
        .filter(present)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str =
        "larder-store v0.1.0 (/w/crates/larder-store)\nbytes v1.11.0\nserde v1.0.228 (*)\n";

    #[test]
    fn an_excluded_crate_is_found_by_its_whole_name() {
        let rule = |excludes| Rule {
            package: "larder-store",
            excludes,
        };
        assert_eq!(
            offenders(&rule(&[SERDE, REDIS]), TREE).collect::<Vec<_>>(),
            ["serde"]
        );
        assert_eq!(offenders(&rule(&[&["larder", "byte"]]), TREE).count(), 0);
    }
}
