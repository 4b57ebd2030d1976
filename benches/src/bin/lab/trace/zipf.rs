//! A generated trace: few keys are asked for often and many seldom, as pages of a site are.

use anyhow::{Context, Result, ensure};
use rand::{SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Zipf};

use super::Trace;

/// Beyond, one key gets every request.
const STEEPEST: f64 = 20.0;

/// So many requests; the same seed gives the same ones.
pub(super) fn generate(exponent: f64, keys: u32, requests: usize, seed: u64) -> Result<Trace> {
    ensure!(
        (0.0..=STEEPEST).contains(&exponent),
        "the exponent of a Zipf distribution is between 0 and {STEEPEST} here, and {exponent} was asked for"
    );
    let ranks = Zipf::new(f64::from(keys), exponent).context("no such Zipf distribution")?;
    let random = StdRng::seed_from_u64(seed);
    // A rank is a whole number between 1 and the number of keys.
    Trace::of(
        ranks
            .sample_iter(random)
            .take(requests)
            .map(|rank| rank as u32),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_trace() {
        let of_seed = |seed| generate(0.99, 100, 1_000, seed).expect("a trace");
        assert_eq!(of_seed(1), of_seed(1));
        assert_ne!(of_seed(1), of_seed(2));
    }

    #[test]
    fn steeper_traces_have_fewer_keys() {
        let keys = |exponent| generate(exponent, 10_000, 10_000, 1).expect("a trace").keys;
        assert!(keys(0.0) > keys(0.99));
        assert!(keys(0.99) > keys(1.5));
        assert_eq!(
            generate(STEEPEST, 1, 5, 1).expect("a trace").requests,
            [0; 5]
        );
    }

    #[test]
    fn impossible_exponents_are_refused() {
        for bad in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(generate(bad, 10, 10, 1).is_err());
        }
    }
}
