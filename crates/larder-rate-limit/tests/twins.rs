//! Every step is the same in Rust and in Lua: replies, records, times to live.
//!
//! The records are made by running the steps, by hand from the documented format, and by damaging them. The seed is printed;
//! `LARDER_SEED` repeats a run.

use std::time::Duration;

use bytes::Bytes;
use larder_rate_limit::{
    Algorithm, ErrorKind, Quota, StoreErrorKind,
    steps::{self, Steps},
};
use larder_store::{Reply, Timestamp, Write};
use larder_testing::{RedisServer, twins, twins::Case};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// Random cases for each algorithm.
const CASES: usize = 10_000;
const NOW_US: u64 = 1_700_000_000_123_456;
const SECOND_US: u64 = 1_000_000;

struct Source {
    random: StdRng,
    algorithm: Algorithm,
}

impl Source {
    /// One of numbers of all sizes up to this one.
    fn number(&mut self, most: u64) -> u64 {
        let bits = self.random.random_range(0..=64 - most.leading_zeros());
        let most = most.min(if bits == 64 { u64::MAX } else { 1 << bits });
        self.random.random_range(0..=most)
    }

    /// A quota whose records live long enough for the comparison.
    fn quota(&mut self) -> Quota {
        let periods = [20, 30, 60, 3_600, 86_400, 31_536_000];
        let period = *periods.choose(&mut self.random).expect("periods");
        let odd = self.number(999);
        let period = Duration::from_secs(period) + Duration::from_micros(odd);
        match self.algorithm {
            Algorithm::Gcra | Algorithm::TokenBucket => self.smooth(period),
            Algorithm::SlidingLog => Quota::new(1 + self.number(20), period),
            _ => Quota::new(1 + self.number(1 << 49), period),
        }
    }

    fn smooth(&mut self, period: Duration) -> Quota {
        loop {
            let (limit, burst) = (1 + self.number(1 << 30), 1 + self.number(1 << 30));
            let quota = match self.random.random_range(0..30) {
                0 => Quota::per_second(1_000_000).burst(1 << 52),
                1..10 => Quota::new(limit, period),
                10..20 => Quota::new(limit, period).burst(burst),
                _ => Quota::new(1 + limit % 50, period).burst(1 + burst % 50),
            };
            if Steps::new(self.algorithm, vec![quota.clone()]).is_ok() {
                return quota;
            }
        }
    }

    fn quotas(&mut self) -> Vec<Quota> {
        let count = *[1, 1, 2, 3].choose(&mut self.random).expect("counts");
        (0..count).map(|_| self.quota()).collect()
    }

    /// Near the capacity, small, zero, negative, or enormous.
    fn cost(&mut self, quotas: &[Quota]) -> i64 {
        let capacity = quotas[0].capacity().cast_signed();
        match self.random.random_range(0..10) {
            0 => 0,
            1 => -self.number(capacity.unsigned_abs()).cast_signed() - 1,
            2 => (1 << 52) - 1 + self.number(2).cast_signed(),
            3 => capacity + 1,
            4 => capacity,
            5 | 6 => 1 + self.number(capacity.unsigned_abs()).cast_signed(),
            _ => 1,
        }
    }

    /// A time before or after now, seldom far from it.
    fn time(&mut self) -> u64 {
        match self.random.random_range(0..12) {
            0 => NOW_US + self.number(1 << 50),
            1 => NOW_US + self.number(100 * SECOND_US),
            2 => NOW_US,
            3 => NOW_US - self.number(1 << 50),
            _ => NOW_US - self.number(100 * SECOND_US),
        }
    }

    /// What some steps in a row leave behind.
    fn run(&mut self, quotas: &[Quota]) -> Option<Bytes> {
        let steps = Steps::new(self.algorithm, quotas.to_vec()).expect("steps");
        let (mut record, mut now) = (None, self.time());
        for _ in 0..self.random.random_range(1..12) {
            let update = steps.update(self.cost(quotas));
            match update
                .apply(record.as_ref(), Timestamp::from_micros(now))
                .write
            {
                Write::Set(bytes, _) | Write::SetOrDelete(bytes, _) => record = Some(bytes),
                Write::Delete => record = None,
                Write::Keep => {}
            }
            now += self.number(20 * SECOND_US);
        }
        record
    }

    /// A state written from its description.
    fn state(&mut self) -> Vec<u8> {
        let (rate, full) = (1 + self.number(1 << 31), 1 + self.number((1 << 52) - 1));
        let (limit, period) = (1 + self.number(1 << 50), 1 + self.number((1 << 52) - 2));
        let (time, part) = (self.time(), self.number(rate - 1));
        let (level, count, before) = (self.number(full), self.number(limit), self.number(limit));
        let small = |number: u64| (number as u32).to_be_bytes().to_vec();
        let large = |number: u64| number.to_be_bytes().to_vec();
        let seven = |number: u64| number.to_be_bytes()[1..].to_vec();
        let parts = match self.algorithm {
            Algorithm::Gcra => vec![seven(time), small(part), small(rate), seven(full)],
            Algorithm::TokenBucket => vec![large(level), large(time), small(rate), large(full)],
            Algorithm::FixedWindow => [time, count, limit, period].map(large).to_vec(),
            Algorithm::SlidingCounter => [time, before, count, limit, period].map(large).to_vec(),
            _ => self.log(),
        };
        parts.concat()
    }

    fn log(&mut self) -> Vec<Vec<u8>> {
        let count = self.random.random_range(0..15_u32);
        let mut times: Vec<_> = (0..count).map(|_| self.time()).collect();
        times.sort_unstable();
        let hits = times.into_iter().flat_map(|time| {
            let cost = self.random.random_range(1..4_u16);
            [time.to_be_bytes().to_vec(), cost.to_be_bytes().to_vec()]
        });
        let hits: Vec<_> = hits.collect();
        let total = self.random.random_range(0..40_u32);
        let period = self.number(1 << 53);
        let head = [
            count.to_be_bytes().to_vec(),
            total.to_be_bytes().to_vec(),
            period.to_be_bytes().to_vec(),
        ];
        head.into_iter().chain(hits).collect()
    }

    fn tag(&self) -> u8 {
        match self.algorithm {
            Algorithm::Gcra => b'G',
            Algorithm::TokenBucket => b'B',
            Algorithm::SlidingCounter => b'C',
            Algorithm::SlidingLog => b'L',
            _ => b'F',
        }
    }

    fn described(&mut self) -> Vec<u8> {
        let mut record = [&b"LDR\x01R"[..], &[self.tag()]].concat();
        for _ in 0..self.random.random_range(1..5) {
            record.extend(self.state());
        }
        record
    }

    fn damaged(&mut self, mut record: Vec<u8>) -> Vec<u8> {
        if self.random.random() {
            record.truncate(self.random.random_range(0..record.len()));
        } else {
            let at = self.random.random_range(0..record.len());
            record[at] = self.random.random();
        }
        record
    }

    fn record(&mut self, quotas: &[Quota]) -> Option<Bytes> {
        match self.random.random_range(0..12) {
            0 => None,
            1 | 2 => Some(self.described().into()),
            3 => {
                let other = self.quotas();
                self.run(&other)
            }
            4 => {
                let record = self.described();
                Some(self.damaged(record).into())
            }
            5 => {
                let record = self.run(quotas)?;
                Some(self.damaged(record.to_vec()).into())
            }
            6 => Some(Bytes::from_static(b"somebody else's")),
            _ => self.run(quotas),
        }
    }

    fn case(&mut self) -> Case {
        let quotas = self.quotas();
        let cost = self.cost(&quotas);
        let steps = Steps::new(self.algorithm, quotas.clone()).expect("steps");
        Case {
            record: self.record(&quotas),
            update: match self.random.random_range(0..8) {
                0 => steps.look(cost.unsigned_abs()),
                _ => steps.update(cost),
            },
            now: Timestamp::from_micros(NOW_US + self.number(100 * SECOND_US)),
        }
    }
}

fn seed() -> u64 {
    let given = std::env::var("LARDER_SEED").ok();
    let seed = given.and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    println!("LARDER_SEED={seed}");
    seed
}

/// Whether the record would be gone before it can be compared. Redis refuses times to live beyond what it counts.
fn is_comparable(case: &Case) -> bool {
    match case.update.apply(case.record.as_ref(), case.now).write {
        Write::Set(_, larder_store::NewTtl::Millis(millis)) => millis > 10_000,
        _ => true,
    }
}

#[tokio::test]
async fn rust_and_lua_are_the_same() {
    let seed = seed();
    let server = RedisServer::start().await.expect("a server");
    for &algorithm in Algorithm::ALL {
        let random = StdRng::seed_from_u64(seed);
        let mut source = Source { random, algorithm };
        let cases = std::iter::repeat_with(|| source.case()).filter(is_comparable);
        let cases: Vec<Case> = cases.take(CASES).collect();
        let outcome = |case: &Case| case.update.apply(case.record.as_ref(), case.now);
        let changing = cases
            .iter()
            .map(outcome)
            .filter(|it| it.write != Write::Keep);
        let changing = changing.count();
        let compared = twins::assert_equal(&server, cases)
            .await
            .expect("a comparison");
        println!("{algorithm:?}: {compared} cases, {changing} of them change the record");
        assert_eq!(compared, CASES);
        assert!(
            changing > CASES / 5,
            "the cases of {algorithm:?} do too little"
        );
        assert!(
            changing < CASES * 9 / 10,
            "the cases of {algorithm:?} refuse too little"
        );
    }
}

#[tokio::test]
async fn reset_is_the_same_in_both() {
    let server = RedisServer::start().await.expect("a server");
    let records = [None, Some(&b"LDR\x01RG"[..]), Some(b"LDR\x01V"), Some(b"")];
    let cases = records.map(|record| Case {
        record: record.map(Bytes::from_static),
        update: steps::reset(),
        now: Timestamp::from_micros(NOW_US),
    });
    let compared = twins::assert_equal(&server, cases.to_vec()).await;
    assert_eq!(compared.expect("a comparison"), 4);
}

#[test]
fn replies_of_another_shape_are_typed_errors() {
    let quotas = vec![Quota::per_second(1), Quota::per_hour(1)];
    for &algorithm in Algorithm::ALL {
        let steps = Steps::new(algorithm, quotas.clone()).expect("steps");
        let replies = [
            Reply::Nil,
            Reply::Int(1),
            Reply::List(Vec::new()),
            Reply::List(vec![Reply::Int(1)]),
            Reply::List(vec![Reply::Nil; 6]),
            Reply::Bytes(Bytes::from_static(b"numbers")),
        ];
        for reply in replies {
            let error = steps.decision(1, &reply).expect_err("another shape");
            assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Protocol));
        }
        let foreign = Reply::Bytes(Bytes::from_static(b"foreign"));
        let error = steps.decision(1, &foreign).expect_err("somebody else's");
        assert_eq!(error.kind(), ErrorKind::Foreign);
    }
}
