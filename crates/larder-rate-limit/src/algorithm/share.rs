//! Shares of whole numbers.

pub(super) const LUA: &str = include_str!("share.lua");

/// The largest denominator that a share is computed with.
const FINEST: u64 = 1 << 26;

/// `amount * part / whole`, rounded up, for `part <= whole`. What Lua counts exactly ends at 2^53: where `whole` is over
/// 2^26, the share `part / whole` is made coarser first, and never smaller.
pub(super) const fn share(amount: u64, part: u64, whole: u64) -> u64 {
    let unit = whole.div_ceil(FINEST);
    let (part, whole) = if unit > 1 {
        let whole = whole / unit;
        let part = part.div_ceil(unit);
        (if part > whole { whole } else { part }, whole)
    } else {
        (part, whole)
    };
    amount / whole * part + (amount % whole * part).div_ceil(whole)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn it_is_exact_in_the_small_and_never_too_little() {
        assert_eq!(share(10, 2, 100), 1);
        assert_eq!(share(200, 2, 100), 4);
        assert_eq!(share(7, 1, 3), 3);
        assert_eq!(share(0, 5, 9), 0);
        for (amount, part, whole) in [
            (1 << 52, (1 << 52) - 1, 1 << 52),
            (999, 1 << 40, (1 << 41) + 1),
        ] {
            let exact = u128::from(amount) * u128::from(part) / u128::from(whole);
            let error = u128::from(share(amount, part, whole)) - exact;
            assert!(error <= u128::from(amount >> 25) + 1, "{error} too much");
        }
    }

    #[test]
    fn all_of_it_is_all_of_it() {
        for whole in [1, 3, 1 << 26, (1 << 26) + 1, (1 << 40) - 1, 1 << 52] {
            assert_eq!(share(1 << 52, whole, whole), 1 << 52);
        }
    }
}
