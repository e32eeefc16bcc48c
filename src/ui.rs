//! What is printed where: data on stdout, words for people on stderr; colour on a terminal only.

use std::io::{self, IsTerminal, Write};

use guide_compiler::diagnostics::render::{self, Style};
use guide_compiler::diagnostics::{Code, Diagnostic};
use guide_compiler::sources::SourceMap;
#[cfg(feature = "run")]
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exit::{Failure, Result};

/// What a piece of text for people is about, by its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be, or what is new.
    Good,
    /// Not as it should be, or what is gone.
    Bad,
    /// To be looked at.
    Notable,
    /// Where something stands.
    Place,
}

/// The two streams.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    /// In what goes to stderr.
    colour: bool,
    /// In what goes to stdout.
    data_colour: bool,
}

impl Ui {
    /// Colour where a stream is a terminal and `NO_COLOR` is not set.
    pub fn new() -> Self {
        let asked_not = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: !asked_not && io::stderr().is_terminal(),
            data_colour: !asked_not && io::stdout().is_terminal(),
        }
    }

    /// Whether a person watches stderr.
    #[cfg(feature = "run")]
    pub fn is_watched(self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether what goes to stderr is in colour.
    #[cfg(feature = "run")]
    pub fn has_colour(self) -> bool {
        self.colour
    }

    /// Writes to the terminal as it is, without an end of the line.
    #[cfg(feature = "run")]
    pub fn draw(self, text: &str) {
        let mut err = io::stderr().lock();
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    /// A bar where a person watches.
    #[cfg(feature = "run")]
    pub fn bar(self, template: &str) -> Option<ProgressBar> {
        self.is_watched().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            // A template that cannot be read leaves the bar's own look.
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        })
    }

    /// A text for stderr, in colour where people see colours.
    pub fn toned(self, tone: Tone, text: &str) -> String {
        painted(self.colour, tone, text)
    }

    /// A text for stdout, likewise.
    pub fn toned_data(self, tone: Tone, text: &str) -> String {
        painted(self.data_colour, tone, text)
    }

    /// Data, to stdout.
    pub fn data(self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| {
                if error.kind() == io::ErrorKind::BrokenPipe {
                    return Failure::ReaderGone;
                }
                let message = format!("the standard output cannot be written: {error}");
                Diagnostic::new(Code::OutputUnwritable, message).into()
            })
    }

    /// Words for people, to stderr; a reader that is gone misses them.
    pub fn say(self, text: &str) {
        let mut err = io::stderr().lock();
        let _ = writeln!(err, "{text}").and_then(|()| err.flush());
    }

    /// Diagnostics, to stderr.
    pub fn diagnostics(self, diagnostics: &[Diagnostic], files: &SourceMap) {
        if !diagnostics.is_empty() {
            let style = Style {
                colour: self.colour,
                ..Style::default()
            };
            self.say(render::human(diagnostics, files, style).trim_end_matches('\n'));
        }
    }

    /// The end of a command that ended early.
    pub fn failure(self, failure: &Failure) {
        match failure {
            Failure::Said { diagnostics, files } => self.diagnostics(diagnostics, files),
            Failure::Usage(sentence) => {
                self.say(&format!(
                    "error: {sentence}\n\nFor more information, try '--help'."
                ));
            }
            #[cfg(feature = "run")]
            Failure::Interrupted => self.say("interrupted; no part of a picture was written"),
            Failure::ReaderGone => {}
        }
    }
}

fn painted(colour: bool, tone: Tone, text: &str) -> String {
    if !colour || text.is_empty() {
        return text.to_owned();
    }
    let colour = match tone {
        Tone::Good => 32,
        Tone::Bad => 31,
        Tone::Notable => 33,
        Tone::Place => 36,
    };
    format!("\u{1b}[{colour}m{text}\u{1b}[0m")
}
