//! Bounds in real time.

use std::time::Duration;

/// The middle one of some times, the longer one of two; zero of none.
///
/// A machine may stand still for a moment, which no test should fail for. So measure several times, hold the median to the
/// bound, and each single one only to what nobody would wait for.
#[must_use]
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_one() {
        let times = |seconds: &[u64]| seconds.iter().map(|it| Duration::from_secs(*it)).collect();
        assert_eq!(median(times(&[9, 1, 2])), Duration::from_secs(2));
        assert_eq!(median(times(&[2, 1])), Duration::from_secs(2));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }
}
