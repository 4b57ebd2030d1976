//! Child processes: each command is shown before it runs, and none reads the terminal.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// How often a child with a time limit is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A command line that can be printed and pasted back into a shell.
pub(crate) struct Cmd(Command);

impl Cmd {
    /// A command with an empty stdin, so that a child which asks a question fails instead of hanging.
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self(command)
    }

    /// The cargo that runs this task.
    ///
    /// The variables that `cargo run` sets for this package are removed: some build scripts watch them and
    /// would be rebuilt whenever `cargo xtask` and a plain `cargo` take turns.
    pub(crate) fn cargo() -> Self {
        let mut cargo = Self::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in std::env::vars_os() {
            if is_package_variable(&name.to_string_lossy()) {
                cargo.0.env_remove(name);
            }
        }
        cargo
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub(crate) fn args<I, S>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.0.current_dir(dir);
        self
    }

    /// Shows the command, runs it, and fails unless it succeeds.
    pub(crate) fn run(mut self) -> Result<()> {
        println!("$ {self}");
        let status = self
            .0
            .status()
            .with_context(|| format!("cannot start `{self}`"))?;
        self.check(status)
    }

    /// Like [`run`](Self::run), and fails (killing the child) once `limit` has passed.
    pub(crate) fn run_within(mut self, limit: Duration) -> Result<()> {
        println!("$ {self}");
        let child = self
            .0
            .spawn()
            .with_context(|| format!("cannot start `{self}`"))?;
        match wait_within(child, limit)? {
            Some(status) => self.check(status),
            None => bail!("`{self}` did not end within {} s", limit.as_secs()),
        }
    }

    /// Shows the command, runs it, and returns its stdout; stderr goes to the terminal.
    pub(crate) fn output(self) -> Result<String> {
        println!("$ {self}");
        self.quiet_output()
    }

    /// Runs the command unseen, for questions that are asked in passing, and returns its stdout.
    pub(crate) fn quiet_output(mut self) -> Result<String> {
        let output = self
            .0
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start `{self}`"))?;
        self.check(output.status)?;
        String::from_utf8(output.stdout)
            .with_context(|| format!("`{self}` printed something that is not UTF-8"))
    }

    /// Whether the command can be started and succeeds; all that it prints is dropped.
    pub(crate) fn succeeds(mut self) -> bool {
        self.0
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn check(&self, status: ExitStatus) -> Result<()> {
        ensure!(status.success(), "`{self}` failed ({status})");
        Ok(())
    }
}

impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.0.get_envs() {
            if let Some(value) = value {
                write!(
                    f,
                    "{}={} ",
                    name.to_string_lossy(),
                    quoted(&value.to_string_lossy())
                )?;
            }
        }
        write!(f, "{}", quoted(&program_name(self.0.get_program())))?;
        for arg in self.0.get_args() {
            write!(f, " {}", quoted(&arg.to_string_lossy()))?;
        }
        Ok(())
    }
}

fn wait_within(mut child: Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(POLL);
    }
}

/// Cargo is shown by its name, not by its place in the toolchain.
fn program_name(program: &OsStr) -> String {
    match Path::new(program).file_stem() {
        Some(stem) if stem == "cargo" => "cargo".to_owned(),
        _ => program.to_string_lossy().into_owned(),
    }
}

fn is_package_variable(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Quotes what a POSIX shell would split or expand.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_would_take_it() {
        let cmd = Cmd::new("/toolchain/bin/cargo")
            .args(["doc", "a b"])
            .env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(
            cmd.to_string(),
            "RUSTDOCFLAGS='-D warnings' cargo doc 'a b'"
        );
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[cfg(unix)]
    #[test]
    fn a_child_that_hangs_is_ended_at_its_limit() {
        let error = Cmd::new("sleep")
            .arg("30")
            .run_within(Duration::from_millis(50))
            .expect_err("must time out");
        assert!(error.to_string().contains("did not end within"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_child_finds_its_stdin_empty() {
        assert_eq!(Cmd::new("cat").quiet_output().expect("cat runs"), "");
    }
}
