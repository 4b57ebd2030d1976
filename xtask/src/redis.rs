//! Finds the `redis-server` that tests and examples start for themselves, or installs it.

mod install;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::cmd::Cmd;

/// The environment variable that names the binary, read here and by the test harness.
pub(crate) const BIN_VARIABLE: &str = "REDIS_SERVER_BIN";

/// The first major version that speaks RESP3, which the Redis store uses.
const OLDEST_MAJOR: u32 = 6;

/// A `redis-server` binary that runs on this machine.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

/// Finds a server, or installs one.
pub(crate) fn provide() -> Result<Server> {
    if let Some(named) = std::env::var_os(BIN_VARIABLE) {
        return Server::at(Path::new(&named))
            .with_context(|| format!("{BIN_VARIABLE} names no redis-server"));
    }
    if find().is_none() {
        install::install()?;
    }
    Server::at(&find().context("redis-server was installed, but is not on the PATH")?)
}

/// The binary on the PATH, or where some systems keep servers that an ordinary user's PATH leaves out.
fn find() -> Option<PathBuf> {
    on_path("redis-server")
        .or_else(|| Some(PathBuf::from("/usr/sbin/redis-server")).filter(|path| path.is_file()))
}

/// Where on the PATH a program is.
fn on_path(program: &str) -> Option<PathBuf> {
    let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(&file))
        .find(|path| path.is_file())
}

impl Server {
    /// Asks the binary for its version, which also shows that it can be started at all.
    fn at(path: &Path) -> Result<Self> {
        let printed = Cmd::new(path).arg("--version").quiet_output()?;
        let version =
            version(&printed).with_context(|| format!("no version in: {}", printed.trim()))?;
        let major: u32 = version.split('.').next().unwrap_or_default().parse()?;
        ensure!(
            major >= OLDEST_MAJOR,
            "{} is version {version}; {OLDEST_MAJOR}.0 or newer is needed",
            path.display()
        );
        Ok(Self {
            path: path.to_owned(),
            version,
        })
    }
}

/// The version in `Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=…`.
fn version(printed: &str) -> Option<String> {
    let version = printed
        .split_whitespace()
        .find_map(|word| word.strip_prefix("v="))?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_word_after_v() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=e3b3abf3f3d0f0b4";
        assert_eq!(version(redis).as_deref(), Some("7.0.15"));
        assert_eq!(
            version("Valkey server v=8.1.1 sha=00000000:1 bits=64").as_deref(),
            Some("8.1.1")
        );
        assert_eq!(version("usage: redis-server"), None);
    }

    #[test]
    fn a_binary_that_is_no_server_is_an_error() {
        assert!(Server::at(Path::new("/nothing/here")).is_err());
    }
}
