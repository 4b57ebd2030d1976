//! A redis-server of one's own.

use std::{
    ffi::OsString,
    io,
    net::TcpListener,
    path::PathBuf,
    process::Stdio,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use redis::{ConnectionLike, FromRedisValue};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::Watch;

/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(10);

/// How many ports are tried.
const TRIES: usize = 3;

/// A real redis-server on a free port with its own directory: it keeps nothing on disk, and is killed when this
/// is dropped.
///
/// The binary is `$REDIS_SERVER_BIN`, or `redis-server` on the `PATH`.
#[derive(Debug)]
pub struct RedisServer {
    settings: RedisServerBuilder,
    port: u16,
    directory: TempDir,
    child: Mutex<Child>,
}

/// Settings of a [`RedisServer`].
#[derive(Debug, Clone, Default)]
pub struct RedisServerBuilder {
    password: Option<String>,
    directives: Vec<(String, String)>,
}

impl RedisServerBuilder {
    /// Clients must give this password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Adds a directive of redis.conf.
    #[must_use]
    pub fn directive(mut self, name: &str, value: &str) -> Self {
        self.directives.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// If there is no `redis-server`, saying how to install it, or it doesn't answer within 10 s.
    pub async fn start(self) -> io::Result<RedisServer> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.start_on(free_port()?).await {
                Ok(server) => return Ok(server),
                Err(error) if tries == TRIES || error.kind() == io::ErrorKind::NotFound => {
                    return Err(error);
                }
                Err(_lost_the_port) => {}
            }
        }
    }

    async fn start_on(&self, port: u16) -> io::Result<RedisServer> {
        let directory = tempfile::Builder::new().prefix("larder-redis-").tempdir()?;
        let child = spawn(self, port, &directory)?;
        let server = RedisServer {
            settings: self.clone(),
            port,
            directory,
            child: Mutex::new(child),
        };
        server.answers().await?;
        Ok(server)
    }
}

impl RedisServer {
    /// A server with the default settings.
    ///
    /// # Errors
    /// As [`RedisServerBuilder::start`].
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Settings.
    #[must_use]
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// The port it listens on, at 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The URL of database 0, with the password if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_on_port(self.port)
    }

    /// The URL for reaching it by way of another port: a proxy's.
    #[must_use]
    pub fn url_on_port(&self, port: u16) -> String {
        match &self.settings.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{port}/0"),
            None => format!("redis://127.0.0.1:{port}/0"),
        }
    }

    /// The path of its unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// Runs one command over a connection of its own and returns its reply.
    ///
    /// # Errors
    /// If the server can't be reached, answers with an error, or with another type.
    pub async fn command<T>(&self, words: &[&str]) -> io::Result<T>
    where
        T: FromRedisValue + Send + 'static,
    {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(*word);
        }
        let url = self.url();
        let run = move || -> redis::RedisResult<T> {
            let client = redis::Client::open(url)?;
            let mut connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
            connection.set_read_timeout(Some(Duration::from_secs(5)))?;
            redis::from_redis_value(connection.req_command(&command)?.extract_error()?)
                .map_err(Into::into)
        };
        let reply = tokio::task::spawn_blocking(run).await?;
        reply.map_err(io::Error::other)
    }

    /// Starts listing the commands that clients send.
    ///
    /// # Errors
    /// If the server can't be reached.
    pub async fn watch(&self) -> io::Result<Watch> {
        Watch::start(self.port, self.settings.password.as_deref()).await
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn kill(&self) -> io::Result<()> {
        self.signal(Signal::KILL)?;
        while self.lock().try_wait()?.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Starts it again on the same port after [`kill`](Self::kill): empty, or with what it had at the last `SAVE`.
    ///
    /// # Errors
    /// As [`RedisServerBuilder::start`].
    pub async fn restart(&self) -> io::Result<()> {
        let child = spawn(&self.settings, self.port, &self.directory)?;
        *self.lock() = child;
        self.answers().await
    }

    /// Hangs it with SIGSTOP: connections stand, nothing is answered.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = self.lock().id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the server is not running"))?;
        kill_process(pid, signal).map_err(Into::into)
    }

    async fn answers(&self) -> io::Result<()> {
        let started = Instant::now();
        loop {
            match self.command::<String>(&["INFO", "server"]).await {
                // Another server may have taken the port before ours could.
                Ok(info) if self.is_described_by(&info) => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
                Err(error) if started.elapsed() > START => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
            if let Some(status) = self.lock().try_wait()? {
                return Err(io::Error::other(format!("redis-server ended: {status}")));
            }
        }
    }

    fn is_described_by(&self, info: &str) -> bool {
        let id = self.lock().id();
        id.is_some_and(|id| info.contains(&format!("process_id:{id}\r")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(settings: &RedisServerBuilder, port: u16, directory: &TempDir) -> io::Result<Child> {
    let binary = std::env::var_os("REDIS_SERVER_BIN").unwrap_or_else(|| "redis-server".into());
    let socket = directory.path().join("redis.sock");
    let mut command = Command::new(&binary);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .arg("--dir")
        .arg(directory.path())
        .arg("--unixsocket")
        .arg(socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if let Some(password) = &settings.password {
        command.args(["--requirepass", password]);
    }
    for (name, value) in &settings.directives {
        command.arg(format!("--{name}")).arg(value);
    }
    command.spawn().map_err(|error| missing(&binary, error))
}

fn missing(binary: &OsString, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::NotFound {
        return error;
    }
    io::Error::new(
        io::ErrorKind::NotFound,
        format!(
            "{} was not found: `cargo xtask test` installs it, or run `apt-get install redis-server` (macOS: `brew install redis`), or set REDIS_SERVER_BIN",
            binary.display()
        ),
    )
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
