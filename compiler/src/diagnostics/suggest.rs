//! "Did you mean": the name nearest to a misspelt one.

/// The nearest of `candidates` to `name`, blind to case and underscores; `None` if none is near.
/// Of equally near ones the first in the order of the alphabet.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(name);
    // A name of one letter is near to every other such name, which helps nobody.
    let limit = match wanted.chars().count() {
        0..=1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate == name {
            continue;
        }
        let candidate_plain = plain(candidate);
        // Names of very different length are not compared: that would only cost time.
        if candidate_plain.len().abs_diff(wanted.len()) > limit {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&wanted, &candidate_plain);
        let better = best.is_none_or(|(d, n)| (distance, candidate) < (d, n));
        if distance <= limit && better {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, name)| name)
}

/// Help that names the nearest candidate.
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|near| format!("write `{near}`"))
}

fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const NAMES: [&str; 5] = ["momentum", "sigma_next", "sigma", "x0", "cfg"];

    #[test]
    fn finds_slips_case_and_underscores() {
        assert_eq!(nearest("momentun", NAMES), Some("momentum"));
        assert_eq!(nearest("SigmaNext", NAMES), Some("sigma_next"));
        assert_eq!(nearest("simga", NAMES), Some("sigma"));
        assert_eq!(nearest("CFG", NAMES), Some("cfg"));
    }

    #[test]
    fn is_silent_when_nothing_is_near() {
        assert_eq!(nearest("region", NAMES), None);
        assert_eq!(nearest("y", ["x", "t"]), None);
        assert_eq!(nearest("", NAMES), None);
    }

    #[test]
    fn of_equals_takes_the_first_of_the_alphabet() {
        assert_eq!(nearest("ban", ["can", "bat"]), Some("bat"));
        assert_eq!(nearest("ban", ["bat", "can"]), Some("bat"));
    }
}
