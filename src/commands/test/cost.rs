//! What a plan says it costs, and how that changed.

/// `40 → 31 evaluations`, or `31 evaluations, as before`.
pub fn change(before: &str, now: &str) -> String {
    match (cost(before), cost(now)) {
        (Some(before), Some(now)) if before == now => format!("{}, as before", evaluations(now)),
        (Some(before), Some(now)) => format!("{before} → {}", evaluations(now)),
        (None, Some(now)) => evaluations(now),
        (_, None) => "no cost".to_owned(),
    }
}

/// `31 evaluations`
pub fn of(plan: &str) -> String {
    cost(plan).map_or_else(|| "no cost".to_owned(), evaluations)
}

/// The number of evaluations, or the least and the most: `40`, `21 to 40`.
pub fn cost(plan: &str) -> Option<String> {
    let line = plan.lines().rev().find_map(|l| l.strip_prefix("cost  "))?;
    let (counts, _) = line.split_once(" evaluation")?;
    let counts = counts.strip_prefix("between ").unwrap_or(counts);
    Some(counts.replace(" and ", " to "))
}

fn evaluations(count: String) -> String {
    match count.as_str() {
        "1" => "1 evaluation".to_owned(),
        _ => format!("{count} evaluations"),
    }
}

#[cfg(test)]
mod tests {
    use super::change;

    #[test]
    fn the_change_is_said_in_evaluations() {
        let fixed = |n: u32| format!("plan a\n\ncost  {n} evaluations, exact; 2.00 a step\n");
        let open = "cost  between 21 and 40 evaluations; 1 to 2 a step\n";
        let one = "cost  1 evaluation, exact; 1.00 a step\n";
        assert_eq!(change(&fixed(40), &fixed(31)), "40 → 31 evaluations");
        assert_eq!(change(&fixed(40), &fixed(40)), "40 evaluations, as before");
        assert_eq!(change(&fixed(40), open), "40 → 21 to 40 evaluations");
        assert_eq!(change(open, one), "21 to 40 → 1 evaluation");
        assert_eq!(change("damaged", one), "1 evaluation");
    }
}
