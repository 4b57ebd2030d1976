//! Proportions of whole numbers.

pub(super) const LUA: &str = include_str!("proportion.lua");

/// `amount * part / whole`, exact and rounded up, for `part <= whole <= 2^52`.
pub(super) const fn proportion(amount: u64, part: u64, whole: u64) -> u64 {
    match amount.checked_mul(part) {
        Some(product) => product.div_ceil(whole),
        // No more than the amount, since the part is no more than the whole.
        None => (amount as u128 * part as u128).div_ceil(whole as u128) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::proportion;

    #[test]
    fn it_is_exact_and_rounded_up() {
        assert_eq!(proportion(10, 2, 100), 1);
        assert_eq!(proportion(200, 2, 100), 4);
        assert_eq!(proportion(7, 1, 3), 3);
        assert_eq!(proportion(0, 5, 9), 0);
        assert_eq!(proportion(1 << 52, (1 << 52) - 1, 1 << 52), (1 << 52) - 1);
        assert_eq!(proportion((1 << 52) - 1, 1, 1 << 52), 1);
        assert_eq!(proportion(3 << 50, 1 << 51, 3 << 50), 1 << 51);
    }

    #[test]
    fn all_of_it_is_all_of_it() {
        for whole in [1, 3, 1 << 26, (1 << 26) + 1, (1 << 40) - 1, 1 << 52] {
            assert_eq!(proportion(1 << 52, whole, whole), 1 << 52);
        }
    }
}
