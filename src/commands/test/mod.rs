//! `guidec test`: compares the plans of a user's guides with the snapshots beside them.

mod cost;
mod each;
mod example;
mod file;
mod find;
mod guide;
mod header;
mod human;
mod json;
mod junit;
mod said;
mod stale;
#[cfg(feature = "run")]
mod value;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use guide_compiler::diagnostics::{Code, Diagnostic, Severity};

use crate::args::{Test, TestFormat};
use crate::exit::{Exit, Failure, Result};
use crate::files::write_whole;
use crate::ui::Ui;
use said::Said;

/// What came out of one file.
pub struct Tested {
    /// The file, as users see it.
    pub file: String,
    /// Where it lies.
    pub place: PathBuf,
    /// The snapshots that it should have.
    pub snapshots: Vec<Snapshot>,
    /// What its doc comments hold.
    pub examples: Examples,
    /// What there is to say.
    pub said: Said,
    /// Whether which guides it holds is known.
    pub is_whole: bool,
}

/// A plan and what it should be.
pub struct Snapshot {
    /// The guide.
    pub guide: String,
    /// The name of the line in the header, if it has one.
    pub line: Option<String>,
    /// The file that holds what it should be.
    pub place: PathBuf,
    /// How the two compare.
    pub outcome: Outcome,
}

impl Snapshot {
    /// The snapshot's file, as users see it: it lies beside the guide's.
    pub fn shown(&self) -> String {
        find::shown(&self.place)
    }
}

/// How a plan compares with its snapshot.
pub enum Outcome {
    /// They are the same text.
    Same(String),
    /// They differ.
    Different {
        /// What the file holds.
        before: String,
        /// What it should hold.
        now: String,
    },
    /// There is no such file.
    New(String),
    /// There is no plan; the file's diagnostics say why.
    Failed,
}

/// Programs in doc comments.
#[derive(Default)]
pub struct Examples {
    /// How many programs.
    pub programs: usize,
    /// How many values were computed and compared.
    pub values: usize,
    /// How many values were not, since this guidec computes nothing.
    pub skipped: usize,
}

/// All that is reported.
pub struct Report {
    /// In order of path.
    pub files: Vec<Tested>,
    /// Snapshots that no guide has any more, as users see them.
    pub stale: Vec<String>,
    /// What is wrong with the paths that were given.
    pub found: Said,
    /// Whether snapshots were written.
    pub update: bool,
}

impl Report {
    fn exit(&self) -> Exit {
        let said = self.files.iter().map(|file| file.said.exit());
        let worst = said.fold(self.found.exit(), Exit::max);
        let accepted = |snapshot: &Snapshot| match snapshot.outcome {
            Outcome::Same(_) => true,
            Outcome::Different { .. } | Outcome::New(_) => self.update,
            Outcome::Failed => false,
        };
        let mut snapshots = self.files.iter().flat_map(|file| &file.snapshots);
        match snapshots.all(accepted) && self.stale.is_empty() {
            true => worst,
            false => worst.max(Exit::Wrong),
        }
    }
}

/// Tests every file; one that is broken keeps the others from nothing.
pub fn test(args: &Test, ui: Ui) -> Result<Exit> {
    let found = find::find(&args.paths)?;
    let mut report = Report {
        files: each::each(&found.guides, jobs(args), |place| {
            file::test(place, &args.allow_path)
        }),
        stale: Vec::new(),
        found: Said::default(),
        update: args.update,
    };
    for failure in found.failures {
        report.found.say(failure);
    }
    if report.files.is_empty() && report.found.is_silent() {
        return Err(nothing(&args.paths).into());
    }
    refuse_shared(&mut report.files);
    report.stale = stale::find(&found.plans, &report.files);
    if args.update {
        write(&report.files)?;
    }
    match args.format {
        TestFormat::Human => human::report(&report, args.quiet, ui),
        TestFormat::Json => ui.data(&json::text(&report))?,
        TestFormat::Junit => ui.data(&junit::text(&report))?,
    }
    Ok(report.exit())
}

/// The tests of one file.
pub fn of_file(place: &Path) -> Tested {
    file::test(place, &[])
}

/// What a plan says it costs: `31 evaluations`.
pub fn evaluations(plan: &str) -> String {
    cost::of(plan)
}

fn jobs(args: &Test) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    args.jobs.map_or_else(cores, usize::from)
}

/// A folder without guides is not one whose guides are as before.
fn nothing(paths: &[PathBuf]) -> Diagnostic {
    let shown: Vec<String> = paths
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    let message = format!("no `.guide` file lies in {}", shown.join(", "));
    Diagnostic::new(Code::WhichGuide, message).help("begin a folder with `guidec init my_rules`")
}

/// Two guides cannot have one snapshot: the second one is refused.
fn refuse_shared(files: &mut [Tested]) {
    let mut owners: BTreeMap<PathBuf, String> = BTreeMap::new();
    for file in files {
        for snapshot in &mut file.snapshots {
            let called = match &snapshot.line {
                Some(line) => format!("`{}` of {} for `test {line}`", snapshot.guide, file.file),
                None => format!("`{}` of {}", snapshot.guide, file.file),
            };
            let Some(owner) = owners.get(&snapshot.place) else {
                owners.insert(snapshot.place.clone(), called);
                continue;
            };
            let message = format!(
                "two plans have the snapshot `{}`: that of {owner} and that of {called}",
                snapshot.shown()
            );
            let refused = Diagnostic::new(Code::BadTestLine, message)
                .help("give a guide, a file or a `//! test NAME:` line another name");
            file.said.say(refused);
            snapshot.outcome = Outcome::Failed;
        }
    }
}

fn write(files: &[Tested]) -> Result<()> {
    for snapshot in files.iter().flat_map(|file| &file.snapshots) {
        if let Outcome::Different { now, .. } | Outcome::New(now) = &snapshot.outcome {
            let place: &Path = &snapshot.place;
            write_whole(place, now.as_bytes())
                .map_err(|error| Failure::unwritable(place, error))?;
        }
    }
    Ok(())
}

/// Whether any is an error.
fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.severity == Severity::Error)
}
