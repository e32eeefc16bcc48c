//! The ways in which terminals show pictures, and which one this terminal has.

use clap::ValueEnum;

/// How a picture is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// By what the environment says of the terminal
    Auto,
    /// The graphics protocol of kitty, Ghostty and Konsole
    Kitty,
    /// Inline images of iTerm2, WezTerm, mintty and Rio
    Iterm2,
    /// Sixel, of foot, mlterm, xterm -ti vt340 and Windows Terminal
    Sixel,
    /// Two pixels a character, in any terminal with colours
    Blocks,
}

/// What decides, read from the environment by name.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Way {
    /// The way itself, or the one that the terminal is known to have. A terminal is asked nothing: an
    /// answer that comes late would be read by whatever comes next.
    pub fn of_terminal(self, env: Lookup<'_>) -> Way {
        if self != Way::Auto {
            return self;
        }
        let has = |name: &str| env(name).is_some_and(|value| !value.is_empty());
        let term = env("TERM").unwrap_or_default();
        // What runs inside of these sees the outer terminal's variables, and passes no pictures on.
        if has("TMUX") || has("STY") || term.starts_with("tmux") || term.starts_with("screen") {
            return Way::Blocks;
        }
        if has("KITTY_WINDOW_ID") || has("KONSOLE_VERSION") || has("GHOSTTY_RESOURCES_DIR") {
            return Way::Kitty;
        }
        if has("WT_SESSION") {
            return Way::Sixel;
        }
        match env("TERM_PROGRAM").unwrap_or_default().as_str() {
            "ghostty" => return Way::Kitty,
            "iTerm.app" | "WezTerm" | "mintty" | "rio" => return Way::Iterm2,
            _ => {}
        }
        match term.as_str() {
            "xterm-kitty" | "xterm-ghostty" => Way::Kitty,
            "wezterm" | "rio" | "xterm-rio" => Way::Iterm2,
            _ if env("LC_TERMINAL").as_deref() == Some("iTerm2") => Way::Iterm2,
            _ if term.starts_with("foot") || term.starts_with("mlterm") => Way::Sixel,
            _ if term.contains("sixel") || term.starts_with("vt340") => Way::Sixel,
            _ => Way::Blocks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Way;

    fn way(env: &[(&str, &str)]) -> Way {
        Way::Auto.of_terminal(&|name| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_tells_terminals_apart() {
        let cases: [(&[(&str, &str)], Way); 9] = [
            (&[("TERM", "xterm-kitty")], Way::Kitty),
            (
                &[("TERM", "xterm-256color"), ("KONSOLE_VERSION", "230804")],
                Way::Kitty,
            ),
            (
                &[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")],
                Way::Iterm2,
            ),
            (
                &[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")],
                Way::Iterm2,
            ),
            (&[("TERM", "foot")], Way::Sixel),
            (
                &[("TERM", "xterm-256color"), ("WT_SESSION", "a")],
                Way::Sixel,
            ),
            (
                &[("TERM", "xterm-256color"), ("TERM_PROGRAM", "vscode")],
                Way::Blocks,
            ),
            (
                &[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1")],
                Way::Blocks,
            ),
            (&[], Way::Blocks),
        ];
        for (env, expected) in cases {
            assert_eq!(way(env), expected, "{env:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_done() {
        let kitty = |_: &str| Some("xterm-kitty".to_owned());
        assert_eq!(Way::Sixel.of_terminal(&kitty), Way::Sixel);
    }
}
