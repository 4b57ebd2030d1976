//! Reading a file that may be compressed.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, ensure};

/// The largest trace, decompressed: more is a mistake, or a file made to fill the memory.
const MOST_BYTES: u64 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    Plain,
    Xz,
    Gzip,
    Zstd,
}

impl Compression {
    /// What the file's name says; if it says nothing, what the first bytes say.
    fn detect(path: &Path, head: &[u8]) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => Self::Xz,
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ if head.starts_with(b"\xFD7zXZ\0") => Self::Xz,
            _ if head.starts_with(b"\x1F\x8B\x08") => Self::Gzip,
            _ if head.starts_with(b"\x28\xB5\x2F\xFD") => Self::Zstd,
            _ => Self::Plain,
        }
    }

    const fn problem(self) -> &'static str {
        match self {
            Self::Plain => "it can't be read",
            Self::Xz => "it can't be decompressed as xz",
            Self::Gzip => "it can't be decompressed as gzip",
            Self::Zstd => "it can't be decompressed as zstd",
        }
    }

    fn decoder(self, file: BufReader<File>) -> std::io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Plain => Box::new(file),
            Self::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(file)),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
        })
    }
}

/// The file's content, decompressed.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).context("it can't be opened")?;
    let mut file = BufReader::new(file);
    let head = file.fill_buf().context("it can't be read")?;
    let compression = Compression::detect(path, head);
    let decoder = compression.decoder(file).context(compression.problem())?;
    let mut bytes = Vec::new();
    decoder
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .context(compression.problem())?;
    ensure!(
        bytes.len() as u64 <= MOST_BYTES,
        "it has more than {} MiB when decompressed",
        MOST_BYTES >> 20
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_before_the_content() {
        let detect = |name: &str, head| Compression::detect(Path::new(name), head);
        assert_eq!(detect("a.gz", b"\xFD7zXZ\0"), Compression::Gzip);
        assert_eq!(detect("a.trace", b"\xFD7zXZ\0"), Compression::Xz);
        assert_eq!(detect("a", b"\x1F\x8B\x08\0"), Compression::Gzip);
        assert_eq!(detect("a", b"\x28\xB5\x2F\xFD"), Compression::Zstd);
        assert_eq!(detect("a", b"1\n2\n"), Compression::Plain);
        assert_eq!(detect("a", b""), Compression::Plain);
    }
}
