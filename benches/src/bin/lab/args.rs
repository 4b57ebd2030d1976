//! What the user can say.

use std::{path::PathBuf, time::Duration};

use clap::{Args, builder::RangedU64ValueParser};

use crate::{store::StoreChoice, subject::Pattern, trace::Format, workload::Percent};

const EXAMPLES: &str = "\
Examples:
  cargo lab replay
      A generated Zipf trace, all patterns, in memory.
  cargo lab replay --trace shop.trace.xz --store redis --writes 5
      A recorded trace on a Redis server that the lab starts for itself, one request in 20 a write.
  cargo lab replay --zipf 1.1 --keys 500 --requests 200000 --store redis --writes 2 --origin-delay 2
      Few hot keys and a slow origin: where the textbook's race shows.
  cargo lab replay --trace ids.txt.gz --pattern none,cache-aside --json result.json
      Keys of one's own, one a line; the numbers go to a file as well.

What is measured:
  The origin is a SQLite database in a temporary directory, a row of some 200 bytes for each key, made anew for
  each pattern. All patterns get the same requests in the same order, and the same ones are writes.
  A read is stale if it returns an older version of the row than one whose write, invalidation included, had been
  acknowledged before the read began. A write whose invalidation was put off acknowledges nothing. Latencies are those of reads. \"origin queries\" counts the rows read from
  the database; a hit is a read that the store answered.";

/// Replays a request trace against caching patterns, a store and a real database, and compares them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) input: Input,

    /// The patterns to compare, separated by commas.
    #[arg(
        long,
        value_name = "PATTERNS",
        value_enum,
        value_delimiter = ',',
        default_value = "none,textbook,cache-aside"
    )]
    pub(crate) pattern: Vec<Pattern>,

    /// memory; redis, which starts a server for the run; or the redis:// URL of one that runs already, where the
    /// entries are left to expire.
    #[arg(long, value_name = "STORE", default_value = "memory")]
    pub(crate) store: StoreChoice,

    /// How many requests are under way at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub(crate) tasks: usize,

    /// How many percent of the requests update their key's row instead of reading it; 0.5 is one in 200.
    #[arg(long, value_name = "PERCENT", default_value = "0")]
    pub(crate) writes: Percent,

    /// How long an entry lives: 60s, 500ms, 5m, 1h. The textbook knows whole seconds only when on Redis.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = ttl)]
    pub(crate) ttl: Duration,

    /// How many entries the memory store holds.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) capacity: u64,

    /// Lets each read of the origin take this much longer, after the row was read: a page that takes time to
    /// build, or a database far away. Writes are not delayed.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) origin_delay: u64,

    /// Writes the numbers to this file as well, as a list with an object for each pattern.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Where the requests come from.
#[derive(Debug, Args)]
pub(crate) struct Input {
    /// The trace: big-endian 32-bit keys as cache2k records them, or text with one key a line; plain, .xz, .gz
    /// or .zst. Without it a Zipf distribution is generated.
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// What the trace holds. The default: what it looks like.
    #[arg(long, value_enum, requires = "trace")]
    pub(crate) format: Option<Format>,

    /// Replays the first N requests only.
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) limit: Option<usize>,

    /// The exponent of the generated distribution: 0 asks for all keys alike, 1 is usual for web pages.
    #[arg(
        long,
        value_name = "S",
        default_value_t = 0.99,
        conflicts_with = "trace"
    )]
    pub(crate) zipf: f64,

    /// How many keys are generated.
    #[arg(long, value_name = "N", default_value_t = 10_000, conflicts_with = "trace", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keys: u32,

    /// How many requests are generated.
    #[arg(long, value_name = "N", default_value_t = 100_000, conflicts_with = "trace", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1 << 28))]
    pub(crate) requests: usize,

    /// Decides what is generated, and which requests are writes.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// A number with `ms`, `s`, `m` or `h` behind it; a number alone is seconds.
fn ttl(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let millis = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        unit => return Err(format!("{unit} is no unit of time: use ms, s, m or h")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|error| format!("{digits:?} is no whole number ({error}); try 60s"))?;
    match number.checked_mul(millis) {
        Some(millis @ 1..) => Ok(Duration::from_millis(millis)),
        Some(0) => Err("with a TTL of zero nothing would ever be found".to_owned()),
        None => Err("that is longer than can be counted".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(ttl("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(ttl("5"), Ok(Duration::from_secs(5)));
        assert_eq!(ttl("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(ttl("2h"), Ok(Duration::from_secs(7200)));
    }

    #[test]
    fn bad_times_are_refused() {
        for bad in [
            "",
            "s",
            "0",
            "-1s",
            "1.5s",
            "3 days",
            "60é",
            "99999999999999999h",
        ] {
            assert!(ttl(bad).is_err(), "{bad} was accepted");
        }
    }
}
