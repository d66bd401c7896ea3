//! Medians, and how sure they are.

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2_000;

/// The median; of an even number of values, the mean of the two in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], upper) } else { upper })
}

/// The 95 % interval of the median: the percentiles of the medians of resampled rounds. The same values always give the
/// same interval.
pub(super) fn interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.is_empty() {
        return None;
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut medians = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let resample: Vec<f64> = values.iter().map(|_| values[random.below(values.len())]).collect();
        medians.push(median(&resample)?);
    }
    medians.sort_by(f64::total_cmp);
    Some((medians[RESAMPLES * 25 / 1000], medians[RESAMPLES * 975 / 1000 - 1]))
}

/// xorshift64*: there is nothing here to guess.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }
}

#[cfg(test)]
mod tests {
    use super::{interval, median};

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_interval_holds_the_median_and_leaves_out_an_outlier() {
        let values = [10.0, 10.1, 9.9, 10.2, 9.8, 10.0, 10.3, 9.7, 10.1, 9.9, 10.0, 500.0];
        let (low, high) = interval(&values).unwrap();
        assert!((9.7..10.0).contains(&low), "{low}");
        assert!((10.0..10.4).contains(&high), "{high}");
        assert_eq!(interval(&values), Some((low, high)));
    }

    #[test]
    fn an_interval_of_equal_values_has_no_width() {
        assert_eq!(interval(&[7.0; 5]), Some((7.0, 7.0)));
        assert_eq!(interval(&[]), None);
    }
}
