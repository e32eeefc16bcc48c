//! A folder of its own for a test, and the binary run in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Plain guidance, for tests that need some guide.
pub const CFG: &str = "\
guide cfg(scale: Scalar = 7.5) {
    let c = predict(cond)
    let u = predict(uncond)
    u + scale * (c - u)
}
";

/// The folder.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

/// What a command left.
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// What it gave to programs.
    pub stdout: String,
    /// What it said to people.
    pub stderr: String,
}

impl Ended {
    /// Fails the test unless the command ended so.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        let Self {
            code: found,
            stdout,
            stderr,
        } = &self;
        assert_eq!(*found, code, "\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        self
    }

    /// Fails the test unless every text stands in what was said, wherever its lines were broken: that depends on how
    /// long the names of the test's folders are.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        let said = in_one_line(&self.stderr);
        for text in texts {
            assert!(
                said.contains(&in_one_line(text)),
                "stderr lacks {text:?}:\n{}",
                self.stderr
            );
        }
        self
    }
}

/// A text with its lines joined, without the bars that a diagnostic draws before those that go on.
fn in_one_line(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| *word != "│");
    words.collect::<Vec<_>>().join(" ")
}

impl Sandbox {
    /// An empty folder.
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder for the test"),
        }
    }

    /// With a file.
    pub fn with(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let place = self.path(path);
        fs::create_dir_all(place.parent().expect("a file lies in a folder")).expect("a folder");
        fs::write(place, text).expect("a file for the test");
        self
    }

    /// Where a file lies.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The text of a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).expect("the file is there")
    }

    /// The names in a folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).expect("the folder is there");
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    /// A folder with a small CLIP model of random weights.
    #[cfg(feature = "run")]
    pub fn clip(&self) -> PathBuf {
        let clip = self.path("clip");
        fs::create_dir(&clip).expect("a folder");
        let oracle = [
            "config.json",
            "preprocessor_config.json",
            "model.safetensors",
        ];
        let oracle = oracle.map(|name| ("tests/oracle/models/tiny-clip", name));
        let tokenizer = ["vocab.json", "merges.txt", "tokenizer_config.json"];
        let tokenizer = tokenizer.map(|name| ("runtime/models/pocket/tokenizer", name));
        for (folder, name) in oracle.into_iter().chain(tokenizer) {
            fs::copy(project(&format!("{folder}/{name}")), clip.join(name)).expect("a copy");
        }
        clip
    }

    /// The binary with these arguments, in the folder, away from the user's own models.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_guidec"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_remove("GUIDEC_MODELS")
            .env_remove("HF_HUB_CACHE")
            .env("HF_HOME", self.path(".no-models"))
            .env("HF_HUB_OFFLINE", "1")
            .env("COLUMNS", "90")
            .stdin(Stdio::null());
        command
    }

    /// Runs it.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.run_with_input(args, "")
    }

    /// Runs what must be refused: with that exit code and one diagnostic, of that code; with nothing
    /// on stdout, and the folder left as it was.
    #[track_caller]
    pub fn refused(&self, args: &[&str], exit: i32, code: &str) -> Ended {
        self.command_refused(self.command(args), exit, code)
    }

    /// As [`Sandbox::refused`], for a command.
    #[track_caller]
    pub fn command_refused(&self, command: Command, exit: i32, code: &str) -> Ended {
        let before = self.everything();
        let ended = ended(command, "").with(exit);
        let is_code = |word: &str| word.len() == 5 && word.starts_with("G0");
        let codes: Vec<&str> = ended
            .stderr
            .lines()
            .map(str::trim)
            .filter(|line| is_code(line))
            .collect();
        assert_eq!(codes, [code], "\n--- stderr\n{}", ended.stderr);
        assert_eq!(ended.stdout, "", "stdout is for data");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        let after = self.everything();
        let names = |all: &BTreeMap<PathBuf, _>| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before), "the folder's files");
        assert!(after == before, "a file has changed");
        ended
    }

    /// Every file below the folder with its bytes, and every folder.
    fn everything(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path(".")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("the folder is there") {
                let path = entry.expect("an entry").path();
                let about = fs::symlink_metadata(&path).expect("the entry is there");
                if about.is_dir() {
                    folders.push(path.clone());
                }
                let bytes = about.is_file().then(|| fs::read(&path).expect("its bytes"));
                found.insert(path, bytes);
            }
        }
        found
    }

    /// Runs it with a text on the standard input.
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Ended {
        ended(self.command(args), input)
    }
}

pub fn ended(mut command: Command, input: &str) -> Ended {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("an input");
    // A command that does not read its input may be gone by now.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the binary ends");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A file of the project itself.
pub fn project(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(path)
        .to_string_lossy()
        .into_owned()
}
