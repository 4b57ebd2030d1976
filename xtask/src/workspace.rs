//! What `cargo metadata` says of the workspace, so that no step keeps its own list of crates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::cmd::Cmd;

/// The workspace's members and places.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    packages: Vec<Package>,
    #[serde(rename = "workspace_root")]
    pub(crate) root: PathBuf,
    #[serde(rename = "target_directory")]
    pub(crate) target: PathBuf,
}

/// One member of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    /// The registries it may go to: all of them if absent, none of them if empty.
    publish: Option<Vec<String>>,
    pub(crate) targets: Vec<Target>,
}

/// A library, binary, example, test or bench of a package.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    kind: Vec<String>,
}

impl Workspace {
    /// Asks cargo, from inside this crate's directory.
    pub(crate) fn load() -> Result<Self> {
        let json = Cmd::cargo()
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .dir(Path::new(env!("CARGO_MANIFEST_DIR")))
            .quiet_output()?;
        serde_json::from_str(&json).context("cannot read the output of `cargo metadata`")
    }

    /// The crates that users depend on: published, with a library.
    pub(crate) fn libraries(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| package.is_published() && package.has_kind("lib"))
    }

    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        let found = self.packages.iter().find(|package| package.name == name);
        found.with_context(|| format!("the workspace has no package `{name}`"))
    }
}

impl Package {
    fn is_published(&self) -> bool {
        self.publish
            .as_ref()
            .is_none_or(|registries| !registries.is_empty())
    }

    fn has_kind(&self, kind: &str) -> bool {
        self.targets.iter().any(|target| target.is(kind))
    }

    /// The name that code uses for the crate.
    pub(crate) fn crate_name(&self) -> String {
        self.name.replace('-', "_")
    }

    /// The archive that `cargo package` makes, without its `.crate` ending.
    pub(crate) fn archive(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

impl Target {
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind.iter().any(|k| k == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_what_may_be_published() {
        let json = r#"{"workspace_root": "/w", "target_directory": "/w/target", "packages": [
            {"name": "larder-store", "version": "0.1.0", "features": {}, "publish": null,
             "targets": [{"name": "larder_store", "kind": ["lib"]}]},
            {"name": "larder-testing", "version": "0.1.0", "features": {}, "publish": [],
             "targets": [{"name": "larder_testing", "kind": ["lib"]}]},
            {"name": "tool", "version": "0.1.0", "features": {}, "publish": null,
             "targets": [{"name": "tool", "kind": ["bin"]}]}]}"#;
        let workspace: Workspace = serde_json::from_str(json).expect("valid metadata");
        let names: Vec<_> = workspace.libraries().map(Package::crate_name).collect();
        assert_eq!(names, ["larder_store"]);
        assert!(workspace.package("larder-testing").is_ok());
        assert!(workspace.package("nothing").is_err());
    }
}
