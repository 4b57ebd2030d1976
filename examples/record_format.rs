//! Prints every kind of record byte by byte, and reads one the way a program in another language would.
//!
//! `cargo run -p larder-examples --example record-format`
//!
//! The listing is `record_format.txt`, which the book shows; this program fails if they differ.

use std::{fmt::Write as _, io, time::Duration};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use larder_cache::steps::{self, PlainValue};
use larder_cache_aside::CacheAside;
use larder_memory::MemoryStore;
use larder_store::{Namespace, Store, Timestamp, Update, Write};

const TOKEN: [u8; 16] = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f";
const OTHER: [u8; 16] = [0xaa; 16];
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

const MAGIC: (usize, &str) = (4, r#""LDR", format version 1"#);

/// What the record becomes by this step.
fn step(update: &Update, record: Option<&Bytes>) -> anyhow::Result<Bytes> {
    match update.apply(record, NOW).write {
        Write::Set(bytes, _) | Write::SetOrDelete(bytes, _) => Ok(bytes),
        Write::Keep | Write::Delete => bail!("the step writes nothing"),
    }
}

/// Appends a record, one field a line.
fn list(
    out: &mut String,
    title: &str,
    record: &[u8],
    fields: &[(usize, &str)],
) -> anyhow::Result<()> {
    writeln!(out, "{title}, {} bytes", record.len())?;
    let mut rest = record;
    for (len, name) in fields {
        let (field, behind) = rest.split_at_checked(*len).context("a field is missing")?;
        let hex: Vec<String> = field.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(out, "  {:<48} {name}", hex.join(" "))?;
        rest = behind;
    }
    ensure!(rest.is_empty(), "{title} has bytes that no field covers");
    writeln!(out)?;
    Ok(())
}

fn listing() -> anyhow::Result<String> {
    let mut out = String::new();
    let lease = step(&steps::lease(TOKEN, Duration::from_secs(11), None), None)?;
    let fields = [MAGIC, (1, "tag 'L'"), (16, "token"), (1, "flags: none")];
    list(&mut out, "A lease", &lease, &fields)?;

    let waited = step(&steps::wait(), Some(&lease))?;
    let fields = [MAGIC, (1, "tag 'L'"), (16, "token"), (1, "flags: waited")];
    list(
        &mut out,
        "The same lease, with followers waiting",
        &waited,
        &fields,
    )?;

    let value = PlainValue {
        payload: b"tea".to_vec(),
        negative: false,
        version: None,
        ttl: Duration::from_secs(60),
    };
    let filled = step(&steps::fill(TOKEN, &value), Some(&lease))?;
    let seal = [
        (8, "created_ms: 1700000000000"),
        (4, "crc32 of all that follows"),
        (8, "soft_ttl_ms: 60000"),
        (4, "cost_us: 0"),
        (1, "codec: 64"),
        (3, r#"payload: "tea""#),
    ];
    let head = [MAGIC, (1, "tag 'V'"), (16, "stamp"), (1, "flags: none")];
    list(
        &mut out,
        "The value that was filled in",
        &filled,
        &[&head[..], &seal].concat(),
    )?;

    let claimed = steps::claim(TOKEN, OTHER, Duration::from_secs(11));
    let claimed = step(&claimed, Some(&filled))?;
    let head = [
        MAGIC,
        (1, "tag 'V'"),
        (16, "stamp"),
        (1, "flags: claimed"),
        (16, "the claim's token"),
        (8, "the claim's deadline_ms: 1700000011000"),
    ];
    list(
        &mut out,
        "The same value, claimed for a refresh",
        &claimed,
        &[&head[..], &seal].concat(),
    )?;

    let newer = PlainValue {
        version: Some(7),
        ..value
    };
    let versioned = step(&steps::fill(TOKEN, &newer), Some(&lease))?;
    let head = [
        MAGIC,
        (1, "tag 'V'"),
        (16, "stamp"),
        (1, "flags: versioned"),
    ];
    let (payload, seal) = seal.split_last().context("a field")?;
    let fields = [&head[..], seal, &[(8, "version: 7"), *payload]].concat();
    list(
        &mut out,
        "The value of a row with a version",
        &versioned,
        &fields,
    )?;

    let held = step(&steps::begin(TOKEN, Duration::from_secs(10)), Some(&filled))?;
    let held = step(&steps::begin(OTHER, Duration::from_secs(10)), Some(&held))?;
    let fields = [
        MAGIC,
        (1, "tag 'H'"),
        (1, "taint: 1, since two writers overlap"),
        (16, "the first writer's token"),
        (8, "its deadline_ms: 1700000010000"),
        (16, "the second writer's token"),
        (8, "its deadline_ms: 1700000010000"),
    ];
    list(&mut out, "The holds of two writers", &held, &fields)?;
    Ok(out)
}

// ANCHOR: reader
/// The codec's number and the payload of a value record; `None` for anything a reader takes for a miss.
fn read(record: &[u8]) -> Option<(u8, &[u8])> {
    let rest = record.strip_prefix(b"LDR\x01V")?;
    let (_stamp, rest) = rest.split_at_checked(16)?;
    let (flags, mut rest) = rest.split_first()?;
    if flags & 1 != 0 {
        return None; // negative: the origin had no such value
    }
    if flags & 2 != 0 {
        rest = rest.get(16 + 8..)?; // a claim: its token and deadline
    }
    let (_created_ms, rest) = rest.split_at_checked(8)?;
    let (crc, sealed) = rest.split_first_chunk()?;
    if crc32(sealed) != u32::from_be_bytes(*crc) {
        return None; // damaged
    }
    let (_soft_ttl_ms_and_cost_us, rest) = sealed.split_at_checked(8 + 4)?;
    let (codec, rest) = rest.split_first()?;
    let version = if flags & 4 != 0 { 8 } else { 0 };
    Some((*codec, rest.get(version..)?))
}

/// The CRC-32 of zlib, PNG and gzip.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _bit| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes
        .iter()
        .fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
// ANCHOR_END: reader

/// Stores a value through the pattern and reads its record by hand.
async fn read_a_real_record() -> anyhow::Result<()> {
    let store = MemoryStore::new(100);
    let names = CacheAside::<u64, String>::builder(store.clone(), "name")
        .build(|_id| async { Ok::<_, io::Error>(Some("tea pot".to_owned())) })?;
    names.get(&42).await?;

    let key = Namespace::new("name", 1)?.key(&42_u64)?;
    let record = store.get(&key).await?.context("no record")?;
    let (codec, payload) = read(&record).context("not readable")?;
    println!("larder:name:1:42 has codec {codec} and payload {payload:02x?}");
    assert_eq!(codec, 1, "MessagePack");
    assert_eq!(payload, b"\xa7tea pot", "a string of 7 bytes");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let listing = listing()?;
    print!("{listing}");
    assert_eq!(listing, include_str!("record_format.txt"));
    read_a_real_record().await
}
