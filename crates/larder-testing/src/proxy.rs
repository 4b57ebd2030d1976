//! A bad network.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::AbortHandle,
    time::sleep,
};

/// A TCP proxy in front of a server that delays, throttles, swallows or resets what passes.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    faults: Arc<Faults>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Faults {
    delay_us: AtomicU64,
    bytes_per_second: AtomicU64,
    swallow_requests: AtomicBool,
    swallow_replies: AtomicBool,
    /// Counts up whenever all connections are to be reset.
    resets: watch::Sender<u64>,
}

impl Proxy {
    /// A proxy on a free port in front of this port of 127.0.0.1.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn start(to: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let faults = Arc::new(Faults {
            delay_us: AtomicU64::new(0),
            bytes_per_second: AtomicU64::new(0),
            swallow_requests: AtomicBool::new(false),
            swallow_replies: AtomicBool::new(false),
            resets: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, to, Arc::clone(&faults))).abort_handle();
        Ok(Self { port, faults, task })
    }

    /// The port to connect to, at 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Holds everything back for this long, in each direction.
    pub fn delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.faults.delay_us.store(micros, Relaxed);
    }

    /// Lets this many bytes a second pass, in each direction; 0 for all.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.faults
            .bytes_per_second
            .store(bytes_per_second, Relaxed);
    }

    /// Swallows everything: connections stand, nothing arrives.
    pub fn black_hole(&self, on: bool) {
        self.faults.swallow_requests.store(on, Relaxed);
        self.faults.swallow_replies.store(on, Relaxed);
    }

    /// Swallows replies only: requests are carried out, and nobody hears of it.
    pub fn swallow_replies(&self, on: bool) {
        self.faults.swallow_replies.store(on, Relaxed);
    }

    /// Resets all connections; new ones are let through.
    pub fn reset(&self) {
        self.faults.resets.send_modify(|resets| *resets += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.reset();
    }
}

async fn accept(listener: TcpListener, to: u16, faults: Arc<Faults>) {
    while let Ok((client, _)) = listener.accept().await {
        let faults = Arc::clone(&faults);
        tokio::spawn(async move {
            // An error ends this connection, as it would without the proxy.
            let _ = connect(client, to, &faults).await;
        });
    }
}

async fn connect(client: TcpStream, to: u16, faults: &Faults) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", to)).await?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let mut resets = faults.resets.subscribe();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = resets.changed() => Ok(()),
        end = pass(from_client, to_server, faults, &faults.swallow_requests) => end,
        end = pass(from_server, to_client, faults, &faults.swallow_replies) => end,
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    faults: &Faults,
    swallow: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let delay = Duration::from_micros(faults.delay_us.load(Relaxed));
        let rate = faults.bytes_per_second.load(Relaxed);
        let drain = match rate {
            0 => Duration::ZERO,
            rate => Duration::from_secs(1).mul_f64(read as f64 / rate as f64),
        };
        if !(delay + drain).is_zero() {
            sleep(delay + drain).await;
        }
        if !swallow.load(Relaxed) {
            to.write_all(&buffer[..read]).await?;
        }
    }
}
