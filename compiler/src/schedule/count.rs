//! How often networks are asked: exactly, or at least and at most.

use super::expr::ExprId;
use super::guard::{ALWAYS, GuardId, Guards, NEVER};

/// How many cases are told apart before the bounds of each prediction are added up instead.
const MOST_CASES: usize = 4096;

/// Fewest and most of these that hold for one sample together.
pub fn extremes(guards: &mut Guards, of: &[GuardId]) -> (u64, u64) {
    let mut left = MOST_CASES;
    if let Some(found) = cases(guards, of, &mut left) {
        return found;
    }
    let least = of.iter().filter(|g| **g == ALWAYS).count();
    let most = of.iter().filter(|g| **g != NEVER).count();
    (least as u64, most as u64)
}

fn cases(guards: &mut Guards, of: &[GuardId], left: &mut usize) -> Option<(u64, u64)> {
    *left = left.checked_sub(1)?;
    let open: Vec<GuardId> = of
        .iter()
        .copied()
        .filter(|g| *g != ALWAYS && *g != NEVER)
        .collect();
    let sure = of.iter().filter(|g| **g == ALWAYS).count() as u64;
    let Some(variable) = open
        .iter()
        .filter_map(|g| guards.variables(*g).first().copied())
        .min()
    else {
        return Some((sure, sure));
    };
    let (mut least, mut most) = (u64::MAX, 0);
    for holds in [false, true] {
        let decided: Vec<GuardId> = open
            .iter()
            .map(|g| guards.decided(*g, variable, holds))
            .collect();
        let (low, high) = cases(guards, &decided, left)?;
        least = least.min(low);
        most = most.max(high);
    }
    Some((sure + least, sure + most))
}

/// A guard where some truth values are known.
pub fn knowing(guards: &mut Guards, mut guard: GuardId, known: &[(ExprId, bool)]) -> GuardId {
    for (variable, holds) in known {
        guard = guards.decided(guard, *variable, *holds);
    }
    guard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_counted_once() {
        let mut g = Guards::new();
        let a = g.variable(ExprId::new(1));
        let not_a = g.not(a);
        assert_eq!(extremes(&mut g, &[ALWAYS, a, not_a]), (2, 2));
        assert_eq!(extremes(&mut g, &[ALWAYS, not_a]), (1, 2));
        assert_eq!(knowing(&mut g, not_a, &[(ExprId::new(1), false)]), ALWAYS);
    }
}
