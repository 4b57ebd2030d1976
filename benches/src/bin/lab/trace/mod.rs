//! Which key each request asks for: recorded or generated.

mod cache2k;
mod decompress;
mod text;
mod zipf;

use std::{collections::HashMap, hash::Hash, path::Path};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::args::Input;

/// How keys are written in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Big-endian 32-bit integers.
    Cache2k,
    /// One key a line, whatever characters it has.
    Text,
}

impl Format {
    /// What the bytes look like: text has no control characters, and small integers are full of them.
    fn detect(bytes: &[u8]) -> Self {
        let control = |letter: char| letter.is_control() && !matches!(letter, '\t' | '\r' | '\n');
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(control) => Self::Text,
            _ => Self::Cache2k,
        }
    }
}

/// The keys in the order of the requests.
///
/// Keys are numbered by their first appearance, so that any sort of key can be a row's number in the database and
/// an index into the oracle.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) requests: Vec<u32>,
    /// How many keys there are; those of the requests are below.
    pub(crate) keys: usize,
}

impl Trace {
    /// The trace the user asked for.
    pub(crate) fn open(input: &Input) -> Result<Self> {
        let trace = match &input.trace {
            Some(path) => Self::read(path, input.format, input.limit)
                .with_context(|| format!("the trace {} can't be used", path.display()))?,
            None => {
                let requests = input.limit.unwrap_or(usize::MAX).min(input.requests);
                zipf::generate(input.zipf, input.keys, requests, input.seed)?
            }
        };
        ensure!(
            !trace.requests.is_empty(),
            "the trace is empty: there is nothing to replay"
        );
        Ok(trace)
    }

    fn read(path: &Path, format: Option<Format>, limit: Option<usize>) -> Result<Self> {
        let bytes = decompress::read(path)?;
        let limit = limit.unwrap_or(usize::MAX);
        match format.unwrap_or_else(|| Format::detect(&bytes)) {
            Format::Cache2k => Self::of(cache2k::keys(&bytes)?.take(limit)),
            Format::Text => Self::of(text::keys(&bytes)?.take(limit)),
        }
    }

    /// Requests for these keys, in this order.
    pub(crate) fn of<K: Eq + Hash>(keys: impl Iterator<Item = K>) -> Result<Self> {
        let mut numbers = HashMap::new();
        let mut requests = Vec::new();
        for key in keys {
            let next = u32::try_from(numbers.len()).context("the trace has too many keys")?;
            requests.push(*numbers.entry(key).or_insert(next));
        }
        Ok(Self {
            requests,
            keys: numbers.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbered_by_first_appearance() {
        let trace = Trace::of(["b", "a", "b", "c"].iter()).expect("few keys");
        assert_eq!(trace.requests, [0, 1, 0, 2]);
        assert_eq!(trace.keys, 3);
    }

    #[test]
    fn formats_are_told_apart() {
        assert_eq!(Format::detect(b"/page/1\r\n/page/2\n"), Format::Text);
        assert_eq!(Format::detect("größe\n".as_bytes()), Format::Text);
        assert_eq!(Format::detect(&[0, 0, 0, 65, 0, 0, 0, 66]), Format::Cache2k);
        assert_eq!(Format::detect(&[0xF0, 0x20, 0x20, 0x20]), Format::Cache2k);
    }
}
