//! Packages the library crates as crates.io would get them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::context::Context;

/// Packages all of them and builds each from its archive.
pub(super) fn run(context: &Context) -> Result<()> {
    forget_last_time(context)?;
    archive(context, &[])
}

/// Packages all library crates in one command, so that they find each other though none is published yet.
///
/// The archives land in `target/package`. Changes that are not committed are packaged too.
pub(super) fn archive(context: &Context, flags: &[&str]) -> Result<()> {
    let packages = context
        .workspace
        .libraries()
        .flat_map(|package| ["--package", &package.name]);
    context
        .cargo("package")
        .arg("--allow-dirty")
        .args(flags)
        .args(packages)
        .run()
}

/// Cargo takes what comes from a registry for immutable, also where it is its own temporary one. So what it unpacked and
/// built of these versions the last time would take the place of what they are now.
fn forget_last_time(context: &Context) -> Result<()> {
    for package in context.workspace.libraries() {
        let unpacked = format!("{}-{}", package.name, package.version);
        for registry in entries(&cargo_home().join("registry/src"))? {
            // A registry without a name is a local one.
            if registry
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"-"))
            {
                remove(&registry.join(&unpacked))?;
            }
        }
    }
    for built in entries(&context.workspace.target.join("debug/.fingerprint"))? {
        if built
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"larder-"))
        {
            remove(&built)?;
        }
    }
    Ok(())
}

fn cargo_home() -> PathBuf {
    let home = || env::home_dir().unwrap_or_default().join(".cargo");
    env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
