//! Every step of the protocol is the same in Rust and in Lua: replies, records, times to live, announcements.
//!
//! The records are random and written by hand here, so this also holds the documented format to its word. The
//! seed is printed; `LARDER_SEED` repeats a run.

use std::time::Duration;

use bytes::Bytes;
use larder_cache::steps::{self, PlainToken, PlainValue, Record};
use larder_store::{Timestamp, Update};
use larder_testing::{RedisServer, twins, twins::Case};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// Random cases for each step.
const CASES: usize = 10_000;
const NOW_MS: u64 = 1_700_000_000_123;

struct Source(StdRng);

impl Source {
    fn token(&mut self) -> PlainToken {
        // Few different ones, so that they often match; all bytes, so that none is special.
        let tokens: [PlainToken; 4] = [[0; 16], [255; 16], *b"0123456789abcdef", [10; 16]];
        *tokens.choose(&mut self.0).expect("four tokens")
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let len = self.0.random_range(0..=most);
        (0..len).map(|_| self.0.random()).collect()
    }

    fn lifetime(&mut self) -> Duration {
        Duration::from_millis(self.0.random_range(20_000..200_000))
    }

    /// A deadline before, at or after now.
    fn deadline(&mut self) -> u64 {
        // None that runs out while the case runs: its record would be gone before it can be compared.
        match self.0.random_range(0..4) {
            0 => NOW_MS - self.0.random_range(0..3),
            1 => NOW_MS - self.0.random_range(0..200_000),
            _ => NOW_MS + self.0.random_range(20_000..200_000),
        }
    }

    fn lease(&mut self) -> Vec<u8> {
        let waited = self.0.random_range(0..2);
        [&b"LDR\x01L"[..], &self.token(), &[waited]].concat()
    }

    fn value(&mut self) -> Vec<u8> {
        let flags: u8 = self.0.random_range(0..8);
        let mut record = [&b"LDR\x01V"[..], &self.token(), &[flags]].concat();
        if flags & 2 != 0 {
            record.extend(self.token());
            record.extend(self.deadline().to_be_bytes());
        }
        record.extend(NOW_MS.to_be_bytes());
        record.extend([7; 17]);
        if flags & 4 != 0 {
            record.extend(self.version().to_be_bytes());
        }
        record.extend(self.bytes(3));
        record
    }

    /// Few different ones, so that they often match, and some that are no number for Lua.
    fn version(&mut self) -> u64 {
        let versions = [0, 1, 2, 1 << 32, (1 << 53) + 1, (1 << 53) + 2, u64::MAX];
        *versions.choose(&mut self.0).expect("seven versions")
    }

    fn holds(&mut self) -> Vec<u8> {
        let taint = self.0.random_range(0..2);
        let mut record = [&b"LDR\x01H"[..], &[taint]].concat();
        for _ in 0..self.0.random_range(1..4) {
            record.extend(self.token());
            record.extend(self.deadline().to_be_bytes());
        }
        record
    }

    fn damaged(&mut self) -> Vec<u8> {
        let mut record = match self.0.random_range(0..4) {
            0 => self.lease(),
            1 => self.value(),
            2 => self.holds(),
            _ => return self.bytes(80),
        };
        if self.0.random() {
            record.truncate(self.0.random_range(0..record.len()));
        } else {
            let at = self.0.random_range(0..6.min(record.len()));
            record[at] = self.0.random();
        }
        record
    }

    fn record(&mut self) -> Option<Bytes> {
        let record = match self.0.random_range(0..9) {
            0 => return None,
            1 | 2 => self.lease(),
            3 | 4 => self.value(),
            5..=7 => self.holds(),
            _ => self.damaged(),
        };
        Some(record.into())
    }

    fn plain_value(&mut self) -> PlainValue {
        PlainValue {
            payload: self.bytes(40),
            negative: self.0.random(),
            version: self.0.random::<bool>().then(|| self.version()),
            ttl: self.lifetime(),
        }
    }

    fn update(&mut self, step: &str, record: Option<&Bytes>) -> Update {
        let (mut token, mut stamp, lifetime) = (self.token(), self.token(), self.lifetime());
        // A refresh needs both to match, which chance alone brings about too seldom.
        if let Some(Record::Value {
            stamp: there,
            claim: Some(claim),
            ..
        }) = record.map(|record| Record::parse(record))
            && self.0.random()
        {
            (stamp, token) = (there, claim);
        }
        let value = self.plain_value();
        match step {
            "lease" => {
                let replace = record.filter(|_| self.0.random_range(0..4) == 0).cloned();
                steps::lease(token, lifetime, replace)
            }
            "wait" => steps::wait(),
            "fill" => steps::fill(token, &value),
            "abort" => steps::abort(token),
            "claim" => steps::claim(stamp, token, lifetime),
            "refresh" => steps::refresh(stamp, token, &value),
            "unclaim" => steps::unclaim(stamp, token),
            "invalidate" => steps::invalidate(),
            "put_if_newer" => {
                let value = Some(&value).filter(|_| self.0.random());
                steps::put_if_newer(token, self.version(), value)
            }
            "begin" => steps::begin(token, lifetime),
            "end" => steps::end(token, Some(&value).filter(|_| self.0.random())),
            step => panic!("no cases for the step {step}"),
        }
    }

    fn case(&mut self, step: &str) -> Case {
        let record = self.record();
        Case {
            update: self.update(step, record.as_ref()),
            record,
            now: Timestamp::from_micros(NOW_MS * 1_000 + self.0.random_range(0..1_000)),
        }
    }
}

#[tokio::test]
async fn rust_and_lua_are_the_same() {
    let seed = std::env::var("LARDER_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    println!("LARDER_SEED={seed}");
    let server = RedisServer::start().await.expect("a server");
    let mut source = Source(StdRng::seed_from_u64(seed));
    for script in steps::scripts() {
        let cases: Vec<Case> = (0..CASES).map(|_| source.case(script.name())).collect();
        let changing = cases
            .iter()
            .filter(|case| {
                let outcome = case.update.apply(case.record.as_ref(), case.now);
                outcome.write != larder_store::Write::Keep
            })
            .count();
        let compared = twins::assert_equal(&server, cases)
            .await
            .expect("a comparison");
        println!(
            "{}: {compared} cases, {changing} of them change the record",
            script.name()
        );
        assert_eq!(compared, CASES);
        assert!(
            changing > CASES / 100,
            "the cases of {} do nothing",
            script.name()
        );
    }
}

#[test]
fn the_documented_format_is_read() {
    let mut source = Source(StdRng::seed_from_u64(1));
    for _ in 0..1_000 {
        assert!(matches!(
            Record::parse(&source.lease()),
            Record::Lease { .. }
        ));
        assert!(matches!(
            Record::parse(&source.value()),
            Record::Value { .. }
        ));
        assert!(matches!(
            Record::parse(&source.holds()),
            Record::Holds { .. }
        ));
        // Whatever it is, it must not panic.
        let _ = Record::parse(&source.damaged());
    }
}
