//! Where a sequence stands on the target when values are skipped: what the source may have handed out
//! meanwhile is never handed out twice.

/// A sequence as it stands, and how it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) last_value: i64,
    /// `last_value` was handed out; otherwise it comes next.
    pub(crate) is_called: bool,
    /// Negative for one that descends; never 0.
    pub(crate) increment: i64,
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) cycles: bool,
}

impl Sequence {
    /// The sequence after so many more values. Nothing was ever taken from one that was not called:
    /// it stays. One that would leave its bounds stops at the last value within them, which comes
    /// next, unless it cycles.
    pub(crate) fn skip(self, gap: u32) -> Self {
        let (last, increment) = (i128::from(self.last_value), i128::from(self.increment));
        if !self.is_called || gap == 0 || increment == 0 {
            return self;
        }
        let (min, max) = (i128::from(self.min), i128::from(self.max));
        let (first, end) = if increment > 0 { (min, max) } else { (max, min) };
        let gap = i128::from(gap);
        let left = (end - last) / increment;
        if gap <= left {
            return self.at(last + gap * increment, true);
        }
        if self.cycles {
            let round = (end - first) / increment + 1;
            return self.at(first + (gap - left - 1) % round * increment, true);
        }
        if left > 0 { self.at(last + left * increment, false) } else { self }
    }

    fn at(self, value: i128, is_called: bool) -> Self {
        let last_value = i64::try_from(value).unwrap_or(self.last_value);
        Self { last_value, is_called, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(last_value: i64, increment: i64) -> Sequence {
        Sequence { last_value, is_called: true, increment, min: 1, max: 100, cycles: false }
    }

    fn skipped(sequence: Sequence, gap: u32) -> (i64, bool) {
        let skipped = sequence.skip(gap);
        (skipped.last_value, skipped.is_called)
    }

    #[test]
    fn values_are_skipped_in_the_sequences_direction() {
        assert_eq!(skipped(sequence(7, 2), 10), (27, true));
        assert_eq!(skipped(sequence(90, -5), 10), (40, true));
        assert_eq!(skipped(sequence(7, 2), 0), (7, true));
    }

    #[test]
    fn the_last_value_within_the_bounds_can_still_be_taken() {
        assert_eq!(skipped(sequence(7, 2), 1_000), (99, false));
        assert_eq!(skipped(sequence(90, -20), 1_000), (10, false));
    }

    #[test]
    fn one_at_its_bound_or_never_called_stays() {
        assert_eq!(skipped(sequence(100, 1), 5), (100, true));
        assert_eq!(skipped(sequence(99, 2), 5), (99, true));
        let fresh = Sequence { is_called: false, ..sequence(1, 1) };
        assert_eq!(skipped(fresh, 5), (1, false));
    }

    #[test]
    fn one_that_cycles_goes_on_at_its_start() {
        let cycles = Sequence { cycles: true, ..sequence(99, 1) };
        assert_eq!(skipped(cycles, 1), (100, true));
        assert_eq!(skipped(cycles, 2), (1, true));
        assert_eq!(skipped(cycles, 102), (1, true));
        let descends = Sequence { cycles: true, ..sequence(2, -1) };
        assert_eq!(skipped(descends, 2), (100, true));
    }

    #[test]
    fn bounds_of_the_type_are_no_trouble() {
        let widest = Sequence { min: i64::MIN, max: i64::MAX, ..sequence(i64::MAX - 3, 1) };
        assert_eq!(skipped(widest, 1_000), (i64::MAX, false));
        let down = Sequence { increment: i64::MIN, last_value: i64::MAX, ..widest };
        assert_eq!(skipped(down, 1), (-1, true));
    }
}
