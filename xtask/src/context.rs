//! What the steps of one run share.

use std::cell::OnceCell;
use std::path::Path;

use anyhow::Result;

use crate::cmd::Cmd;
use crate::redis::{self, Server};
use crate::workspace::Workspace;

/// The workspace, and the Redis server once a step has asked for it.
pub(crate) struct Context {
    pub(crate) workspace: Workspace,
    redis: OnceCell<Server>,
}

impl Context {
    pub(crate) fn load() -> Result<Self> {
        Ok(Self {
            workspace: Workspace::load()?,
            redis: OnceCell::new(),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.workspace.root
    }

    /// A cargo command at the workspace's root.
    pub(crate) fn cargo(&self, subcommand: &str) -> Cmd {
        Cmd::cargo().arg(subcommand).dir(self.root())
    }

    /// Gives a command the `redis-server` that its tests or examples start for themselves.
    ///
    /// The server is found, or installed, when the first step needs it, so that a step run alone has one too.
    pub(crate) fn with_redis(&self, cmd: Cmd) -> Result<Cmd> {
        Ok(cmd.env(redis::BIN_VARIABLE, &self.redis()?.path))
    }

    pub(crate) fn redis(&self) -> Result<&Server> {
        if let Some(server) = self.redis.get() {
            return Ok(server);
        }
        let server = redis::provide()?;
        Ok(self.redis.get_or_init(|| server))
    }
}
