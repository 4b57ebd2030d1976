//! Uses the packaged crates as a stranger would: outside the workspace, without its features and its lints.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::package;
use crate::cmd::Cmd;
use crate::context::Context;
use crate::workspace::Package;

/// The program that a new user would write first, and what it must print.
const PROGRAM: &str = include_str!("../../consumer/main.rs.txt");
const PROGRAM_MANIFEST: &str = include_str!("../../consumer/Cargo.toml.txt");
const EXPECTED: &str = "7 squared is 49: loaded once, then read from the store";

/// A workspace in a temporary directory, removed on drop.
struct Outside {
    dir: TempDir,
    /// The workspace's own, where the `package` step has left the dependencies compiled.
    target: PathBuf,
}

/// Builds a program on the packages and, for each package, a crate that depends on nothing else.
pub(super) fn run(context: &Context) -> Result<()> {
    package::archive(context, &["--no-verify"])?;
    let outside = Outside::create(context)?;
    println!("consumers in {}", outside.workspace().display());
    for package in context.workspace.libraries() {
        outside
            .cargo("build")
            .args(["--quiet", "--package", &only(package)])
            .run()?;
    }
    let printed = outside
        .cargo("run")
        .args(["--quiet", "--package", "consumer"])
        .output()?;
    print!("{printed}");
    ensure!(
        printed.lines().any(|line| line == EXPECTED),
        "the consumer did not print: {EXPECTED}"
    );
    Ok(())
}

impl Outside {
    /// Unpacks the archives into `packages/` and writes the consumers into `consumers/`, side by side: a path
    /// dependency below a workspace's root would become a member of it.
    fn create(context: &Context) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("larder-consumer-")
            .tempdir()?;
        let outside = Self {
            dir,
            target: context.workspace.target.clone(),
        };
        fs::create_dir_all(outside.packages())?;
        for package in context.workspace.libraries() {
            unpack(
                &context.workspace.target.join("package"),
                &outside.packages(),
                package,
            )?;
            write_crate(
                &outside.workspace().join(only(package)),
                &only_manifest(package),
                &only_source(package),
            )?;
        }
        write_crate(
            &outside.workspace().join("consumer"),
            PROGRAM_MANIFEST,
            PROGRAM,
        )?;
        fs::write(
            outside.workspace().join("Cargo.toml"),
            workspace_manifest(context.workspace.libraries()),
        )?;
        // The same versions as in the workspace; cargo drops what is not needed.
        fs::copy(
            context.root().join("Cargo.lock"),
            outside.workspace().join("Cargo.lock"),
        )?;
        Ok(outside)
    }

    fn packages(&self) -> PathBuf {
        self.dir.path().join("packages")
    }

    fn workspace(&self) -> PathBuf {
        self.dir.path().join("consumers")
    }

    fn cargo(&self, subcommand: &str) -> Cmd {
        Cmd::cargo()
            .arg(subcommand)
            .env("CARGO_TARGET_DIR", &self.target)
            .dir(&self.workspace())
    }
}

fn unpack(archives: &Path, into: &Path, package: &Package) -> Result<()> {
    let archive = archives.join(format!("{}.crate", package.archive()));
    Cmd::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(into)
        .run()
}

fn write_crate(dir: &Path, manifest: &str, source: &str) -> Result<()> {
    let src = dir.join("src");
    fs::create_dir_all(&src).with_context(|| format!("cannot create {}", src.display()))?;
    fs::write(dir.join("Cargo.toml"), manifest)?;
    fs::write(src.join("main.rs"), source)?;
    Ok(())
}

/// The name of the crate that depends on `package` only.
fn only(package: &Package) -> String {
    format!("only-{}", package.name)
}

fn only_manifest(package: &Package) -> String {
    format!(
        "[package]\nname = \"{}\"\nedition = \"2024\"\n\n[dependencies]\n{} = \"{}\"\n",
        only(package),
        package.name,
        package.version
    )
}

fn only_source(package: &Package) -> String {
    format!("use {} as _;\n\nfn main() {{}}\n", package.crate_name())
}

/// The consumers name versions, as users do; the patch leads them to the unpacked archives.
fn workspace_manifest<'a>(packages: impl Iterator<Item = &'a Package>) -> String {
    let mut manifest =
        "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\n\n[patch.crates-io]\n".to_owned();
    for package in packages {
        manifest += &format!(
            "{} = {{ path = \"../packages/{}\" }}\n",
            package.name,
            package.archive()
        );
    }
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_depends_on_one_crate_and_nothing_else() {
        let json = r#"{"name": "larder-store", "version": "0.1.0", "features": {}, "targets": []}"#;
        let package: Package = serde_json::from_str(json).expect("valid metadata");
        assert!(only_manifest(&package).ends_with("[dependencies]\nlarder-store = \"0.1.0\"\n"));
        assert!(only_source(&package).starts_with("use larder_store as _;"));
        let patch = "larder-store = { path = \"../packages/larder-store-0.1.0\" }";
        assert!(workspace_manifest([&package].into_iter()).contains(patch));
    }

    #[test]
    fn the_program_prints_what_is_expected() {
        assert!(PROGRAM.contains("loaded once, then read from the store"));
    }
}
