//! Features are additive only if each compiles without the others.

use anyhow::Result;

use super::checks::component;
use crate::context::Context;
use crate::workspace::Package;

/// Checks every library crate by itself, outside the feature unification of the workspace.
///
/// Clippy stands in for `cargo check`, because only it can deny warnings in the crate at hand without
/// building its dependencies anew: an import that a missing feature leaves unused is an error.
pub(super) fn run(context: &Context) -> Result<()> {
    component("clippy", "clippy")?;
    for package in context.workspace.libraries() {
        for flags in flag_sets(package) {
            context
                .cargo("clippy")
                .args(["--quiet", "--package", &package.name])
                .args(flags)
                .args(["--", "--no-deps", "-D", "warnings"])
                .run()?;
        }
    }
    Ok(())
}

/// None, each alone, and all; a crate without features is checked once.
fn flag_sets(package: &Package) -> Vec<Vec<String>> {
    let none = "--no-default-features".to_owned();
    let mut sets = vec![vec![none.clone()]];
    for feature in package.features.keys() {
        sets.push(vec![none.clone(), "--features".to_owned(), feature.clone()]);
    }
    if package.features.len() > 1 {
        sets.push(vec!["--all-features".to_owned()]);
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(features: &str) -> Vec<String> {
        let json = format!(
            r#"{{"name": "x", "version": "0.1.0", "features": {features}, "targets": []}}"#
        );
        let package: Package = serde_json::from_str(&json).expect("valid metadata");
        flag_sets(&package)
            .iter()
            .map(|set| set.join(" "))
            .collect()
    }

    #[test]
    fn each_feature_is_checked_alone() {
        assert_eq!(flags("{}"), ["--no-default-features"]);
        assert_eq!(
            flags(r#"{"default": ["json"], "json": []}"#),
            [
                "--no-default-features",
                "--no-default-features --features default",
                "--no-default-features --features json",
                "--all-features",
            ]
        );
    }
}
