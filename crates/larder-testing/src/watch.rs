//! Listing what clients send.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// The commands that clients send to a server, as its `MONITOR` shows them. What scripts call is left out.
#[derive(Debug)]
pub struct Watch {
    lines: BufReader<TcpStream>,
    port: u16,
    login: String,
    marks: u64,
}

impl Watch {
    pub(crate) async fn start(port: u16, password: Option<&str>) -> io::Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let login = password.map_or_else(String::new, |password| format!("AUTH {password}\r\n"));
        stream.write_all(login.as_bytes()).await?;
        stream.write_all(b"MONITOR\r\n").await?;
        let mut lines = BufReader::new(stream);
        let answers = if password.is_some() { 2 } else { 1 };
        for _ in 0..answers {
            lines.read_line(&mut String::new()).await?;
        }
        Ok(Self {
            lines,
            port,
            login,
            marks: 0,
        })
    }

    /// The names of the commands that were sent since the last call, in upper case, connections' greetings left
    /// out.
    ///
    /// # Errors
    /// If the server went away.
    pub async fn commands(&mut self) -> io::Result<Vec<String>> {
        self.marks += 1;
        let mark = format!("larder-mark-{}", self.marks);
        let mut marker = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let echo = format!("{}ECHO {mark}\r\n", self.login);
        marker.write_all(echo.as_bytes()).await?;
        let mut names = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line);
            if timeout(Duration::from_secs(5), read).await?? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.contains(&mark) {
                return Ok(names);
            }
            names.extend(client_command(&line));
        }
    }
}

/// The command in a line like `+1700000000.123456 [0 127.0.0.1:5000] "GET" "key"`; none for a script's.
fn client_command(line: &str) -> Option<String> {
    const GREETINGS: [&str; 5] = ["HELLO", "CLIENT", "AUTH", "SELECT", "TIME"];
    let (_, rest) = line.split_once('[')?;
    let (client, command) = rest.split_once("] ")?;
    let name = command.split('"').nth(1)?.to_ascii_uppercase();
    let counts = !client.ends_with(" lua") && !GREETINGS.contains(&name.as_str());
    counts.then_some(name)
}
