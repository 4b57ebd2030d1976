//! What is asked of every pattern: the trace, with some requests made writes.

use std::{fmt, str::FromStr};

use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::trace::Trace;

/// A share of requests, between 0 and 100 percent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percent(f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text);
        match number.parse() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self(percent)),
            Ok(_) => Err("a percentage is between 0 and 100".to_owned()),
            Err(error) => Err(format!("{error}; give a percentage between 0 and 100")),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Show the page of this key.
    Read(u32),
    /// Change the page of this key.
    Write(u32),
}

/// The requests in their order, the same for every pattern.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) requests: Vec<Request>,
    /// Keys are below this number.
    pub(crate) keys: usize,
}

impl Workload {
    /// Makes this share of the requests writes. The seed alone decides which, so that every pattern and every
    /// run has the same ones.
    pub(crate) fn new(trace: &Trace, writes: Percent, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut request = |key: &u32| {
            if random.random_bool(writes.0 / 100.0) {
                Request::Write(*key)
            } else {
                Request::Read(*key)
            }
        };
        Self {
            requests: trace.requests.iter().map(&mut request).collect(),
            keys: trace.keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace {
        Trace::of((0..10_000).map(|request| request % 7)).expect("few keys")
    }

    fn writes(workload: &Workload) -> usize {
        let is_write = |request: &&Request| matches!(request, Request::Write(_));
        workload.requests.iter().filter(is_write).count()
    }

    #[test]
    fn the_same_seed_makes_the_same_writes() {
        let of_seed = |seed| Workload::new(&trace(), Percent(5.0), seed).requests;
        assert_eq!(of_seed(1), of_seed(1));
        assert_ne!(of_seed(1), of_seed(2));
    }

    #[test]
    fn the_share_of_writes_is_what_was_asked_for() {
        let share = |percent| writes(&Workload::new(&trace(), Percent(percent), 1));
        assert_eq!(share(0.0), 0);
        assert_eq!(share(100.0), 10_000);
        assert!((400..600).contains(&share(5.0)));
        assert!((20..90).contains(&share(0.5)));
    }

    #[test]
    fn percentages_are_bounded() {
        for bad in ["-1", "101", "NaN", "inf", "many", ""] {
            assert!(bad.parse::<Percent>().is_err(), "{bad} was accepted");
        }
        assert!("2.5%".parse::<Percent>().is_ok());
    }
}
