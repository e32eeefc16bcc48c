//! What there is to say about one file, from several compilations of it.

use guide_compiler::diagnostics::{Bag, Diagnostic};
use guide_compiler::sources::{Loaded, SourceMap};

use crate::exit::{Exit, Failure};

/// Diagnostics, each once, and the files that they are about.
#[derive(Default)]
pub struct Said {
    bag: Bag,
    /// The files.
    pub files: SourceMap,
}

impl Said {
    /// About this file first.
    pub fn about(root: Loaded) -> Self {
        let mut files = SourceMap::default();
        files.add(root);
        Self {
            bag: Bag::default(),
            files,
        }
    }

    /// Adds what has places in our files, or none.
    pub fn say(&mut self, diagnostic: Diagnostic) {
        self.bag.push(diagnostic);
    }

    /// Adds what another compilation said; `path` is what we call a file of it. A file that we have
    /// already under that name has the same places.
    pub fn absorb(
        &mut self,
        diagnostics: impl IntoIterator<Item = Diagnostic>,
        files: &SourceMap,
        path: impl Fn(&str) -> String,
    ) {
        let own: Vec<_> = files
            .files()
            .map(|(_, file)| {
                self.files.add(Loaded {
                    path: path(&file.path),
                    text: file.text.clone(),
                })
            })
            .collect();
        for mut diagnostic in diagnostics {
            let labels = diagnostic.labels.iter_mut().map(|label| &mut label.span);
            let fix = diagnostic.fix.iter_mut().flat_map(|fix| &mut fix.edits);
            for span in labels.chain(fix.map(|edit| &mut edit.span)) {
                if let Some(file) = own.get(span.file.0 as usize) {
                    span.file = *file;
                }
            }
            self.say(diagnostic);
        }
    }

    /// Adds what a step failed with, if it is about the guide.
    pub fn fail(&mut self, failure: Failure, otherwise: impl FnOnce(String) -> Diagnostic) {
        match failure {
            Failure::Said { diagnostics, files } => {
                self.absorb(diagnostics, &files, str::to_owned);
            }
            Failure::Usage(sentence) => self.say(otherwise(sentence)),
            Failure::ReaderGone => {}
            #[cfg(feature = "run")]
            Failure::Interrupted => {}
        }
    }

    /// In order of place.
    pub fn sorted(&self) -> Vec<Diagnostic> {
        self.bag.clone().into_sorted()
    }

    /// Whether nothing was said.
    pub fn is_silent(&self) -> bool {
        self.bag.iter().next().is_none()
    }

    /// What it ends a command with.
    pub fn exit(&self) -> Exit {
        Exit::of_all(&self.sorted())
    }
}
