//! Runs every example, as a reader would.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cmd::Cmd;
use crate::context::Context;
use crate::workspace::{Package, Target};

const PACKAGE: &str = "larder-examples";

/// No example may take longer: it would not be read to its end either.
const LIMIT: Duration = Duration::from_secs(60);

/// Builds the examples in one go, then runs them one by one. Those that want Redis start their own.
pub(super) fn run(context: &Context) -> Result<()> {
    let expected = names(context.workspace.package(PACKAGE)?);
    let built = build(context)?;
    for name in expected {
        let (_, path) = built
            .iter()
            .find(|(built, _)| *built == name)
            .with_context(|| format!("cargo built no executable for the example `{name}`"))?;
        println!("\n-- example: {name}");
        context
            .with_redis(Cmd::new(path).dir(context.root()))?
            .run_within(LIMIT)?;
    }
    Ok(())
}

/// The package's examples and binaries; a package without any has lost its purpose.
fn names(package: &Package) -> Vec<String> {
    let runnable = |target: &&Target| target.is("example") || target.is("bin");
    package
        .targets
        .iter()
        .filter(runnable)
        .map(|target| target.name.clone())
        .collect()
}

fn build(context: &Context) -> Result<Vec<(String, PathBuf)>> {
    let messages = context
        .cargo("build")
        .args([
            "--package",
            PACKAGE,
            "--all-features",
            "--examples",
            "--bins",
        ])
        .arg("--message-format=json-render-diagnostics")
        .output()?;
    let built: Vec<_> = messages.lines().filter_map(executable).collect();
    ensure!(!built.is_empty(), "`{PACKAGE}` has no example");
    Ok(built)
}

/// The target and the path in one of cargo's messages, if it tells of an executable.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message["executable"].as_str()?;
    let name = message["target"]["name"].as_str()?;
    Some((name.to_owned(), path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_among_cargo_messages() {
        let example = r#"{"reason":"compiler-artifact","target":{"kind":["example"],"name":"quickstart"},
            "executable":"/target/debug/examples/quickstart"}"#;
        let library = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"x"},"executable":null}"#;
        assert_eq!(
            executable(example),
            Some((
                "quickstart".to_owned(),
                "/target/debug/examples/quickstart".into()
            ))
        );
        assert_eq!(executable(library), None);
        assert_eq!(executable("warning: not json"), None);
    }
}
