//! Pages that are no codes: what the language leaves out on purpose, and what to do instead.

/// A page with the names that find it.
pub struct Topic {
    /// How `guidec explain` lists it.
    pub name: &'static str,
    /// Other words for it.
    pub aliases: &'static [&'static str],
    /// The page.
    pub page: &'static str,
}

/// All of them, in order of the alphabet.
pub const TOPICS: &[Topic] = &[
    Topic {
        name: "external detectors",
        aliases: &["external detector", "detector", "detectors", "segmentation"],
        page: include_str!("topics/external_detectors.md"),
    },
    Topic {
        name: "fixed-point iteration",
        aliases: &["fixed point", "iteration", "loop", "while", "for"],
        page: include_str!("topics/fixed_point_iteration.md"),
    },
    Topic {
        name: "particle filters",
        aliases: &["particle filter", "particles", "resampling", "smc", "batch"],
        page: include_str!("topics/particle_filters.md"),
    },
    Topic {
        name: "several resolutions",
        aliases: &[
            "resolution",
            "resolutions",
            "cascade",
            "stages of several resolutions",
            "hires",
        ],
        page: include_str!("topics/several_resolutions.md"),
    },
    Topic {
        name: "time travel",
        aliases: &[
            "self-recurrence",
            "recurrence",
            "restart",
            "resample in time",
        ],
        page: include_str!("topics/time_travel.md"),
    },
];

/// The topic of that name, blind to case, `-` and `_`.
pub fn find(name: &str) -> Option<&'static Topic> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], " ");
    let wanted = plain(name.trim());
    TOPICS.iter().find(|topic| {
        plain(topic.name) == wanted || topic.aliases.iter().any(|alias| plain(alias) == wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::{TOPICS, find};

    #[test]
    fn a_topic_is_found_by_every_one_of_its_names() {
        for topic in TOPICS {
            for name in topic.aliases.iter().chain([&topic.name]) {
                assert_eq!(
                    find(&name.to_uppercase()).map(|t| t.name),
                    Some(topic.name),
                    "{name}"
                );
            }
            assert!(topic.page.starts_with("# "), "{} has a title", topic.name);
        }
        assert!(find("apg").is_none());
    }
}
