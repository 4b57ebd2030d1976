//! Bounds in real time.

use std::time::Duration;

/// The second longest of some times; zero of fewer than two.
///
/// A machine may stand still for a moment, which no test should fail for. So measure several times, hold all but one to the
/// bound, and that one only to what nobody would wait for.
#[must_use]
pub fn slowest_but_one(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.iter().rev().nth(1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_left_out() {
        let [one, two, nine] = [1, 2, 9].map(Duration::from_secs);
        assert_eq!(slowest_but_one(&[two, nine, one]), two);
        assert_eq!(slowest_but_one(&[nine, nine, one]), nine);
        assert_eq!(slowest_but_one(&[nine]), Duration::ZERO);
    }
}
